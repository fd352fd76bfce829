"""Requirements: installed once, by a user of their own, for everybody who asks for the same."""
import os
import pathlib
import re
import shutil
import signal
import subprocess

import grpc
import packages
import pyenvd_pb2 as pb
import pytest
from host import IS_ROOT, PATIENCE, Host, archive, failure_of, wait_for
from installers import UV
from package_index import PackageIndex
from remote import Remote
from test_limits import SmallHost

USER = 65534
INSTALLERS = ['uv', 'pip']
DEEDS = ['write-outside', 'fork-daemon', 'fork-storm', 'litter', 'use-network', 'read-secrets',
         'attack-parents', 'fail', 'die']
# Why a layer of it is refused, where not because the build failed.
EXPECTED = {'fork-storm': ['INSTALL_TIMEOUT'], 'litter': ['ENTRY_FORBIDDEN'],
            'attack-parents': ['INSTALL_FAILED']}


@pytest.fixture(scope='module')
def made():
    """A directory with packages and a virtualenv that has a pip; for everybody."""
    with Directory() as directory:
        packages.sample(directory / 'packages')
        subprocess.run(['/usr/bin/python3', '-m', 'venv', directory / 'venv'], check=True)
        yield directory


class Directory:
    def __enter__(self):
        self.path = pathlib.Path(subprocess.check_output(['mktemp', '-d'], text=True).strip())
        self.path.chmod(0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


@pytest.fixture(params=INSTALLERS)
def installer(request):
    return request.param


def flags(name, *more):
    return ['--installer', name, '--uv', str(UV), *more]


def requirements(host, text, directory=None, name='requirements.txt'):
    path = host.sources / name
    path.write_text(text)
    path.chmod(0o644)
    return pb.Requirements(path=str(path), package_directory=str(directory or ''))


def python_of(made):
    return str(made / 'venv/bin/python')


def install(client, made, wanted, **fields):
    return client.create(requirements=wanted, python=python_of(made), **fields)


def fail_to_install(client, made, wanted, **fields):
    return client.fail_to_create(requirements=wanted, python=python_of(made), **fields)


def run(response, *command):
    return subprocess.run(command, env=dict(response.variables), text=True, capture_output=True,
                          cwd=response.working_directory, check=True).stdout


def test_packages_and_their_scripts_are_there(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        wanted = requirements(host, 'beta\ndelta\nepsilon\nzeta\n', made / 'packages')
        response = install(client, made, wanted)
        layer = response.layers[0]
        assert run(response, response.interpreter, '-c', 'import alpha, delta, delta_pure, zeta;'
                   'print(alpha.VERSION, alpha.__file__)').split() == \
            ['1.1', f'{layer.directory}/lib/python3.11/site-packages/alpha/__init__.py']
        assert run(response, 'beta') == 'beta 1.0\n'
        assert response.variables['PATH'].startswith(f'{layer.directory}/bin:')
        shown = client.admin.Show(pb.ShowRequest(id=layer.layer_id)).layer
        assert 'alpha 1.1' in shown.packages and 'zeta 1.0' in shown.packages
        assert shown.kind == 'requirements' and shown.state == pb.LAYER_STATE_READY
        host.expect_tidy(client)


def test_all_of_it_is_compiled_and_nobody_can_write_to_it(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        response = install(client, made, requirements(host, 'alpha\n', made / 'packages'))
        tree = pathlib.Path(response.layers[0].directory)
        sources = [path for path in tree.rglob('*.py')]
        compiled = [path for path in tree.rglob('*.pyc')]
        assert len(sources) == len(compiled) > 0
        # PEP 552: not to be compared with the source.
        assert all(path.read_bytes()[4:8] == b'\1\0\0\0' for path in compiled)
        # Where a layer is shows when its modules are loaded, not before.
        assert not any(str(tree).encode() in path.read_bytes() for path in compiled)
        assert run(response, response.interpreter, '-c', 'import alpha;'
                   'print(alpha.main.__code__.co_filename)').strip() in map(str, sources)
        for path in [tree, *tree.rglob('*')]:
            assert path.is_symlink() or path.stat().st_mode & 0o7222 == 0, path
        assert {path.name for path in tree.iterdir()} <= {'bin', 'lib', 'lib64'}
        never = install(client, made, requirements(host, 'alpha\n', made / 'packages'),
                        bytecode=pb.BYTECODE_NEVER)
        assert not list(pathlib.Path(never.layers[0].directory).rglob('*.pyc'))


def test_the_same_again_costs_nothing(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        wanted = requirements(host, 'alpha==1.0\n', made / 'packages')
        first = install(client, made, wanted)
        # What was changed a moment ago is read again: it could be changed without a trace.
        wait_for(lambda: install(client, made, wanted).hit, 'a hit')
        before = client.status().counters.workers_started
        again = install(client, made, wanted)
        assert again.hit and client.status().counters.workers_started == before
        assert again.dependency_hash == first.dependency_hash
        commented = requirements(host, '# a comment\nalpha==1.0  \n', made / 'packages', 'other.txt')
        assert install(client, made, commented).dependency_hash == first.dependency_hash
        other = install(client, made, requirements(host, 'alpha==1.1\n', made / 'packages'))
        assert other.dependency_hash != first.dependency_hash


def test_a_directory_of_very_many_packages(made):
    with Host(*flags('uv')) as host, Directory() as many:
        shutil.copytree(made / 'packages', many / 'packages')
        for i in range(2500):
            (many / 'packages' / f'filler_{"x" * 60}-0.{i}-py3-none-any.whl').touch()
        client = host.connect()
        wanted = requirements(host, 'alpha==2.0\n', many / 'packages')
        first, second = (install(client, made, wanted) for _ in range(2))
        assert second.dependency_hash == first.dependency_hash
        assert second.layers[0].origin == pb.LAYER_ORIGIN_FOUND
        (many / 'packages' / 'one_more-1-py3-none-any.whl').touch()
        assert install(client, made, wanted).dependency_hash != first.dependency_hash


def test_fifty_creates_are_one_install(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        request = pb.CreateEnvironmentRequest(
            requirements=requirements(host, 'beta\n', made / 'packages'), python=python_of(made))
        calls = [client.environments.CreateEnvironment.future(request, timeout=PATIENCE)
                 for _ in range(50)]
        answers = [call.result() for call in calls]
        assert len({answer.layers[0].layer_id for answer in answers}) == 1
        assert len({answer.lease_id for answer in answers}) == 50
        assert client.status().counters.layers_made == 1
        assert len(os.listdir(host.state / 'logs')) == 1


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
def test_an_interpreter_in_an_archive_for_an_ordinary_user(made, installer):
    subprocess.run(['tar', '-C', made, '-czf', made / 'venv.tar.gz', 'venv'], check=True)
    with Host(*flags(installer)) as host:
        wanted = requirements(host, 'beta\n', made / 'packages')
        with Remote(host, USER) as user:
            response = user.call('create', [archive(made / 'venv.tar.gz', 'v')],
                                 python='v/venv/bin/python', requirements=wanted)
        script = pathlib.Path(response.layers[1].directory, 'bin/beta').read_text()
        assert script.startswith(f'#!{response.interpreter}\n')
        done = subprocess.run(
            ['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups', 'beta'],
            env=dict(response.variables), text=True, capture_output=True, check=False)
        assert (done.stdout, done.stderr) == ('beta 1.0\n', '')


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
def test_a_daemon_of_ones_own(made, installer):
    with Host(*flags(installer), uid=USER) as host:
        with Remote(host, USER) as user:
            response = user.call('create', requirements=requirements(
                host, 'beta\nzeta\n', made / 'packages'), python=python_of(made))
        assert run(response, 'beta') == 'beta 1.0\n'


def test_a_configuration_of_flink_asks_for_the_same(made):
    with Host(*flags('auto')) as host:
        client = host.connect()
        wanted = requirements(host, 'beta\n', made / 'packages')
        explicit = install(client, made, wanted)
        flink = client.create(flink=pb.FlinkConfiguration(configuration={
            'python.requirements': f'{wanted.path}#{wanted.package_directory}',
            'python.executable': python_of(made)}))
        assert flink.dependency_hash == explicit.dependency_hash
        assert flink.layers[0].layer_id == explicit.layers[0].layer_id
        assert flink.beam_environment == explicit.beam_environment.replace(
            explicit.lease_id.encode(), flink.lease_id.encode())


@pytest.mark.parametrize('text, reason, words', [
    ('nosuchpackage\n', 'PACKAGE_NOT_FOUND', 'nosuchpackage'),
    ('alpha==99\n', 'VERSION_NOT_FOUND', '99'),
    ('beta\ngamma\n', 'VERSION_NOT_FOUND', 'alpha'),
    ('future\n', 'VERSION_NOT_FOUND', '3.99'),
    (f'alpha==1.0 --hash=sha256:{"0" * 64}\n', 'HASH_MISMATCH', '0000'),
])
def test_why_it_cannot_be_installed(made, installer, text, reason, words):
    with Host(*flags(installer)) as host:
        client = host.connect()
        failure = fail_to_install(client, made, requirements(host, text, made / 'packages'))
        assert failure.reason == reason, failure
        assert words in failure.message and 'requirements.txt' in failure.message
        log = host.state / 'logs' / os.listdir(host.state / 'logs')[0]
        assert str(log) in failure.message and words in log.read_text()
        host.expect_tidy(client)


@pytest.mark.parametrize('text, words', [
    ('-e .\n', ['line 1', 'editable']),
    ('alpha\n./local\n', ['line 2', 'local']),
    ('--no-such-option\n', ['line 1', '--no-such-option']),
])
def test_what_a_requirements_file_may_not_say(made, text, words):
    with Host(*flags('auto')) as host:
        failure = fail_to_install(host.connect(), made, requirements(host, text))
        assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
        assert failure.reason == 'REQUIREMENTS_INVALID'
        for word in words:
            assert word in failure.message


def test_without_an_interpreter_there_is_nothing_to_install_for(host, client):
    failure = client.fail_to_create(requirements=requirements(host, 'alpha\n'))
    assert failure.reason == 'REQUEST_INVALID' and 'python' in failure.message


def test_an_index_is_asked_and_its_secrets_go_nowhere(made, installer):
    files = sorted((made / 'packages').iterdir())
    with PackageIndex(files, login=('ann', 'sesame-42')) as index:
        with Host(*flags(installer, '--index-url', index.url)) as host:
            client = host.connect()
            response = install(client, made, requirements(host, 'alpha==1.0\n'))
            assert index.asked('/simple/alpha/') == 1
            assert 'alpha 1.0' in client.admin.Show(
                pb.ShowRequest(id=response.layers[0].layer_id)).layer.packages
            failure = fail_to_install(client, made, requirements(host, 'nosuchpackage\n'))
            assert failure.reason == 'PACKAGE_NOT_FOUND' and 'sesame' not in failure.message
            asked = index.asked()
            install(client, made, requirements(host, 'alpha==1.1\n', made / 'packages'))
            assert index.asked() == asked
            assert host.stop() == 0
            for path in [host.log, *host.state.rglob('*')]:
                if path.is_file() and not path.is_symlink():
                    assert b'sesame' not in path.read_bytes(), path


def test_an_index_that_refuses_us(made, installer):
    with PackageIndex(sorted((made / 'packages').iterdir()), login=('ann', 'sesame')) as index:
        url = index.url.replace('sesame', 'wrong')
        with Host(*flags(installer, '--index-url', url)) as host:
            failure = fail_to_install(host.connect(), made, requirements(host, 'alpha\n'))
            assert failure.reason == 'INDEX_REFUSED', failure


def test_an_index_that_fails_for_a_while(made):
    with PackageIndex(sorted((made / 'packages').iterdir())) as index:
        # More often than pip itself tries again.
        index.fail('/simple/alpha/', 503, 8)
        with Host(*flags('pip', '--index-url', index.url)) as host:
            client = host.connect()
            response = install(client, made, requirements(host, 'alpha==1.0\n'))
            assert index.asked('/simple/alpha/') > 8
            assert client.status().counters.layers_made == 1
            log = pathlib.Path(host.state / 'logs' / response.layers[0].layer_id).read_text()
            assert 'from versions: none' in log and 'Successfully installed' in log


# ---- other people's code

def left_behind(host, deed):
    """Files of a hostile build, wherever it may have come."""
    mark = packages.marker_of(f'hostile-{deed}')
    found = [pathlib.Path(top, name) for top in ('/tmp', '/var/tmp', '/dev/shm')
             for name in os.listdir(top) if name.startswith(mark)]
    for top, directories, files in os.walk(host.directory):
        found += [pathlib.Path(top, name) for name in directories + files if name.startswith(mark)]
    return found


def hostile(host, deed, **plan):
    directory = host.sources / 'hostile'
    directory.mkdir(mode=0o755, exist_ok=True)
    packages.hostile_sdist(directory, deed, **plan)
    return requirements(host, f'hostile-{deed}\n', directory, f'{deed}.txt')


def limit_installs(host, *more):
    """From now on; only what has to run out of time is given little."""
    host.flags = (*host.flags[:4], *more)
    host.restart()


def expect_harmless(host, client, made, deed, response=None):
    assert packages.processes_of(f'hostile-{deed}') == []
    layers = [layer.directory for layer in response.layers] if response else []
    outside = [path for path in left_behind(host, deed)
               if not any(path.is_relative_to(layer) for layer in layers)]
    assert outside == []
    host.expect_tidy(client)
    good = install(client, made, requirements(host, 'alpha==2.0\n', made / 'packages'))
    assert run(good, good.interpreter, '-c', 'import alpha; print(alpha.VERSION)') == '2.0\n'


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: users to install as')
@pytest.mark.parametrize('deed', DEEDS)
def test_a_hostile_build_does_no_harm(made, installer, deed):
    with Host(*flags(installer)) as host:
        client = host.connect()
        secret = host.sources / 'secret'
        secret.write_text('secret')
        secret.chmod(0o600)
        victim = install(client, made, requirements(host, 'alpha==1.0\n', made / 'packages'))
        inside = victim.layers[0].directory
        wanted = hostile(host, deed, places=['/tmp', '/var/tmp', host.state, host.state / 'layers',
                                             inside, host.directory], files=[secret],
                         tcp=[('127.0.0.1', 1)], udp=[('127.0.0.1', 1)], names=['localhost.test'])
        if deed == 'fork-storm':
            # An installer waits as long as somebody holds a build's output open.
            limit_installs(host, '--install-timeout', '15')
        before = client.status().layers
        try:
            response = install(client, made, wanted)
        except grpc.RpcError as error:
            response = None
            failure = failure_of(error)
            assert failure.reason in EXPECTED.get(deed, ['BUILD_FAILED']), failure
            assert client.status().layers == before
        limit_installs(host)
        expect_harmless(host, client, made, deed, response)
        assert secret.read_text() == 'secret'
        log = ''.join(path.read_text() for path in (host.state / 'logs').iterdir())
        text = log + ''.join(path.read_text() for path in pathlib.Path(
            response.layers[0].directory).rglob('report.txt')) if response else log
        for report in packages.reports_in(text):
            what, _, place = report.what.partition(':')
            if what in ('tcp', 'udp'):
                assert report.outcome == 'EACCES', report
            is_its_own = re.fullmatch(f'{host.state}/layers/[a-z2-7]{{8}}/(tmp|tree).*', place) and \
                not place.startswith(str(inside))
            if what == 'create' and place.startswith(str(host.directory)) and not is_its_own:
                assert report.outcome in ('EACCES', 'EPERM', 'ENOENT'), report
            if what == 'read' and place == str(secret):
                assert report.outcome == 'EACCES', report


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: users to install as')
@pytest.mark.parametrize('deed', ['hang', 'print-forever'])
def test_a_build_without_end_is_ended(made, installer, deed):
    with Host(*flags(installer, '--install-timeout', '15')) as host:
        client = host.connect()
        failure = fail_to_install(client, made, hostile(host, deed))
        assert failure.reason == 'INSTALL_TIMEOUT', failure
        assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED
        log = host.state / 'logs' / os.listdir(host.state / 'logs')[0]
        assert log.stat().st_size < 5 << 20
        limit_installs(host)
        expect_harmless(host, client, made, deed)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: users to install as')
def test_a_build_that_fills_the_disk_is_refused(made, installer):
    with SmallHost('tmpfs', *flags(installer, '--reserve-bytes', '16M'), size=120) as host:
        client = host.connect()
        failure = fail_to_install(client, made, hostile(host, 'fill-the-disk', bytes=400 << 20))
        assert failure.reason == 'NO_SPACE', failure
        expect_harmless(host, client, made, 'fill-the-disk')


def test_a_file_that_is_larger_than_a_layer_may_be(made):
    with Host(*flags('uv', '--max-layer-bytes', '1M')) as host:
        client = host.connect()
        directory = host.sources / 'large'
        directory.mkdir(mode=0o755)
        packages.wheel(directory, 'large', files={'large.py': '# ' + 'x' * (2 << 20)})
        failure = fail_to_install(client, made, requirements(host, 'large\n', directory))
        assert failure.reason == 'LIMIT_EXCEEDED' and 'max_layer_bytes' in failure.message
        host.expect_tidy(client)


def begin_hang(host, client, made):
    request = pb.CreateEnvironmentRequest(
        requirements=hostile(host, 'hang'), python=python_of(made))
    call = client.environments.CreateEnvironment.future(request, timeout=PATIENCE)
    wait_for(lambda: packages.processes_of('hostile-hang'), 'the build to hang')
    return call


def expect_ended(host, client, made):
    wait_for(lambda: not packages.processes_of('hostile-hang'), 'the build to be ended')
    expect_harmless(host, client, made, 'hang')


def test_an_install_that_nobody_waits_for_is_ended(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        call = begin_hang(host, client, made)
        assert call.cancel()
        expect_ended(host, client, made)


def test_when_the_worker_is_killed_all_that_it_started_is_ended(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        call = begin_hang(host, client, made)
        for pid in host.workers():
            os.kill(pid, signal.SIGKILL)
        assert failure_of(call.exception()).reason == 'WORKER_DIED'
        expect_ended(host, client, made)


@pytest.mark.skipif(not IS_ROOT, reason='asks for root: another user')
@pytest.mark.parametrize('who', ['worker', 'client', 'daemon'])
def test_with_a_daemon_of_ones_own_all_is_ended_as_well(made, installer, who):
    """Its installs run as the same user: what is left comes to the daemon, as a subreaper."""
    with Host(*flags(installer), uid=USER) as host, Remote(host, USER) as user:
        user.begin('create', requirements=hostile(host, 'hang'), python=python_of(made))
        wait_for(lambda: packages.processes_of('hostile-hang'), 'the build to hang')
        if who == 'worker':
            for pid in host.workers():
                os.kill(pid, signal.SIGKILL)
        elif who == 'client':
            user.process.kill()
        else:
            host.kill()
        wait_for(lambda: not packages.processes_of('hostile-hang'), 'the build to be ended')
        if who == 'daemon':
            host.start()
        wait_for(lambda: not os.listdir(host.state / 'layers'), 'its layer to be removed')
        with Remote(host, USER) as other:
            response = other.call('create', python=python_of(made), requirements=requirements(
                host, 'alpha==2.0\n', made / 'packages'))
        assert response.layers[0].origin == pb.LAYER_ORIGIN_MADE


def test_when_the_daemon_is_killed_all_that_was_started_is_ended(made, installer):
    with Host(*flags(installer)) as host:
        client = host.connect()
        call = begin_hang(host, client, made)
        host.kill()
        wait_for(lambda: not packages.processes_of('hostile-hang'), 'the build to be ended')
        assert call.exception()
        host.start()
        expect_ended(host, client, made)


@pytest.mark.skipif(not IS_ROOT, reason='slots have users of their own if started as root')
def test_what_a_killed_daemon_and_its_worker_left_ends_when_the_next_one_starts(made):
    with Host(*flags('uv')) as host:
        client = host.connect()
        call = begin_hang(host, client, made)
        workers = host.workers()
        for pid in [host.pid, *workers]:
            os.kill(pid, signal.SIGSTOP)
        for pid in [*workers, host.pid]:
            os.kill(pid, signal.SIGKILL)
        host.process.wait()
        assert call.exception()
        assert packages.processes_of('hostile-hang')
        host.start()
        wait_for(lambda: not packages.processes_of('hostile-hang'), 'the build to be ended')
        expect_ended(host, client, made)
