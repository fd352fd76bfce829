"""Who a Python is: asked once, part of the identity, and a clear error where there is no answer."""
import pathlib
import random
import shutil
import subprocess

import pytest
import pyenvd_pb2 as pb
from archives import FILE, LINK, make_tar
from host import IS_ROOT, archive, ttl, wait_for
from remote import Remote

PYTHON = '#!/bin/sh\nexec /usr/bin/python3 "$@"\n'


def script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def components(client, dependency_hash):
    found = client.admin.Show(pb.ShowRequest(id=dependency_hash))
    return {(c.kind, c.name): c.value for c in found.environment.components}


def test_it_is_asked_once(host, client):
    python = script(host.sources / 'python', PYTHON)
    first = client.create(python=str(python))
    before = client.status().counters.workers_started
    second = client.create(python=str(python))
    assert not first.hit and second.hit
    assert client.status().counters.workers_started == before
    assert first.dependency_hash == second.dependency_hash
    identity = components(client, first.dependency_hash)[('python-identity', '')]
    version = subprocess.check_output(['/usr/bin/python3', '-c', 'import platform; '
                                       'print(platform.python_version())'], text=True)
    assert identity.split()[:2] == ['cpython', version.strip()]


def test_another_python_at_the_same_path_is_another_environment(host, client):
    python = script(host.sources / 'python', PYTHON)
    first = client.create(python=str(python))
    script(python, "#!/bin/sh\nprintf '\\npyenvd:cpython|3.99.1|cpython-399|linux-x86_64|\\n'\n")
    second = client.create(python=str(python))
    assert second.dependency_hash != first.dependency_hash
    assert '3.99.1' in components(client, second.dependency_hash)[('python-identity', '')]


def test_one_in_an_archive_is_the_archive_and_its_path(host, client):
    source = make_tar(host.sources / 'a.tar', [('bin/python', FILE, PYTHON, 0o755)])
    response = client.create([archive(source, 'v')], python='v/bin/python')
    known = components(client, response.dependency_hash)
    assert known[('python', '')] == 'v/bin/python'
    assert ('python-identity', '') not in known


@pytest.mark.parametrize('text, words', [
    ('#!/bin/sh\necho no module named encodings >&2\nexit 1\n', ['exit code 1', 'encodings']),
    ('#!/bin/sh\nkill -SEGV $$\n', ['signal 11']),
    ('#!/usr/bin/perl -w\nexit 0;\n', ['exit code']),
    ('#!/no/such/program\n', ['cannot be started']),
    ('neither a script nor a program', ['cannot be started']),
])
def test_what_does_not_start_is_told_and_leaves_nothing(host, client, text, words):
    python = script(host.sources / 'python', text)
    before = host.snapshot()
    failure = client.fail_to_create(python=str(python))
    assert failure.reason == 'INTERPRETER_UNUSABLE'
    for word in [str(python), *words]:
        assert word in failure.message
    host.expect_tidy(client)
    assert host.snapshot() == before


def test_a_link_in_an_archive_that_leads_nowhere_is_told(host, client):
    source = make_tar(host.sources / 'a.tar', [('bin/python', LINK, '/no/such/python3')])
    failure = client.fail_to_create([archive(source, 'v')], python='v/bin/python')
    assert failure.reason == 'INTERPRETER_NOT_FOUND'
    assert 'v/bin/python' in failure.message


def test_a_retry_gives_what_was_found_at_first(host, client):
    early, late = (host.sources / name for name in ('early', 'late'))
    early.mkdir()
    late.mkdir()
    script(late / 'mypython', PYTHON)
    fields = {'python': 'mypython', 'base_variables': {'PATH': f'{early}:{late}'},
              'request_id': 'again', 'holder': ttl()}
    first = client.create(**fields)
    assert first.interpreter == str(late / 'mypython')
    script(early / 'mypython', PYTHON)
    (late / 'mypython').unlink()
    for _ in range(2):
        second = client.create(**fields)
        assert second.lease_id == first.lease_id
        assert second.interpreter == first.interpreter
        assert second.dependency_hash == first.dependency_hash
        assert second.beam_environment == first.beam_environment
        host.restart()
    fields['request_id'] = 'anew'
    assert client.create(**fields).interpreter == str(early / 'mypython')


def test_pythonhome_is_answered_where_it_is_needed(host, client):
    """An interpreter of its own with a library beside it, that does not find it by itself."""
    python = ('#!/bin/sh\n[ "$PYTHONHOME" ] || { echo no encodings >&2; exit 1; }\n'
              'unset PYTHONHOME\nexec /usr/bin/python3 "$@"\n')
    source = make_tar(host.sources / 'a.tar', [
        ('python/bin/python', FILE, python, 0o755),
        ('python/lib/python3.11/encodings/__init__.py', FILE, ''),
    ])
    response = client.create([archive(source, 'v')], python='v/python/bin/python')
    home = pathlib.Path(response.layers[0].directory, 'python')
    assert response.variables['PYTHONHOME'] == str(home)
    plain = make_tar(host.sources / 'b.tar', [('python/bin/python', FILE, PYTHON, 0o755)])
    response = client.create([archive(plain, 'v')], python='v/python/bin/python')
    assert 'PYTHONHOME' not in response.variables


def test_one_that_hangs_ends_with_the_request_and_all_it_started(host, client):
    """The waiter leaves: interpreter and orphan are ended, and the next create works."""
    mark = str(random.randrange(10**8, 10**9))
    python = script(host.sources / 'python',
                    f'#!/bin/sh\nsetsid sleep {mark} &\nsleep {mark}\n')
    call = client.environments.CreateEnvironment.future(request_for(python), timeout=300)
    wait_for(lambda: count(mark) == 2, 'interpreter and orphan to run')
    assert call.cancel()
    wait_for(lambda: count(mark) == 0, 'both to be ended')
    host.expect_tidy(client)
    script(python, PYTHON)
    assert client.create(python=str(python)).interpreter == str(python)


def test_one_that_hangs_ends_with_the_daemon(host, client):
    mark = str(random.randrange(10**8, 10**9))
    python = script(host.sources / 'python',
                    f'#!/bin/sh\nsetsid sleep {mark} &\nsleep {mark}\n')
    call = client.environments.CreateEnvironment.future(request_for(python), timeout=300)
    wait_for(lambda: count(mark) == 2, 'interpreter and orphan to run')
    host.kill()
    wait_for(lambda: count(mark) == 0, 'both to be ended')
    assert call.exception()


def request_for(python):
    return pb.CreateEnvironmentRequest(python=str(python))


def count(mark):
    """Processes that sleep for so long."""
    found = 0
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            found += path.read_bytes() == b'sleep\0' + mark.encode() + b'\0'
        except OSError:
            pass
    return found


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
def test_it_is_asked_as_the_client(host):
    """It may do what the client may, and no more: it writes down who it is in its answer."""
    python = script(host.sources / 'python',
                    "#!/bin/sh\nu=$(id -u); touch /var/tmp/written-$u 2>/dev/null && u=wrote\n"
                    "printf '\\npyenvd:cpython|3.0.'$u'|a|p|\\n'\n")
    with Remote(host, 65534) as user:
        response = user.call('create', python=str(python))
    known = components(host.connect(), response.dependency_hash)
    assert '3.0.65534' in known[('python-identity', '')]


@pytest.mark.skipif(shutil.which('zip') is None, reason='asks for zip')
def test_a_virtualenv_of_this_machine_is_asked_in_its_layer(host, client):
    directory = host.sources / 'env'
    subprocess.run(['/usr/bin/python3', '-m', 'venv', '--without-pip', directory], check=True)
    subprocess.run(['zip', '-qry', host.sources / 'env.zip', '.'], cwd=directory, check=True)
    response = client.create([archive(host.sources / 'env.zip', 'v')], python='v/bin/python')
    assert response.interpreter.endswith('/tree/bin/python')
