"""Requirements that are resolved anew, because somebody asks for it."""
import subprocess
import threading

import packages
import pyenvd_pb2 as pb
import pytest
from host import PATIENCE, Host, wait_for
from package_index import PackageIndex
from test_install import Directory, flags, install, python_of, requirements, run


@pytest.fixture(scope='module')
def made():
    with Directory() as directory:
        packages.sample(directory / 'packages')
        subprocess.run(['/usr/bin/python3', '-m', 'venv', directory / 'venv'], check=True)
        yield directory


@pytest.fixture(name='index')
def index_of_the_first_release(made):
    with PackageIndex([file(made, 'alpha-1.0'), file(made, 'beta-1.0')]) as index:
        yield index


@pytest.fixture(name='host')
def host_with_an_index(index):
    with Host(*flags('uv', '--index-url', index.url)) as host:
        yield host


def file(made, name):
    return made / 'packages' / f'{name}-py3-none-any.whl'


def wanted(host, text, refresh=False, directory=None):
    path = host.sources / 'requirements.txt'
    # What was changed a moment ago is read again.
    if path.exists() and path.read_text() == text:
        message = pb.Requirements(path=str(path), package_directory=str(directory or ''))
    else:
        message = requirements(host, text, directory)
    message.refresh = refresh
    return message


def version_of(response):
    return run(response, response.interpreter, '-c', 'import alpha; print(alpha.VERSION)').strip()


def layer_of(client, response):
    return client.admin.Show(pb.ShowRequest(id=response.layers[0].layer_id)).layer


def layer_ids(client):
    return {layer.layer_id for layer in client.layers()}


def refresh_later(client, made, host, text):
    """What is to be answered while something else happens."""
    request = pb.CreateEnvironmentRequest(
        requirements=wanted(host, text, True), python=python_of(made))
    return client.environments.CreateEnvironment.future(request, timeout=PATIENCE)


def test_who_asks_for_it_gets_what_an_index_says_now(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    index.publish(file(made, 'alpha-1.1'))
    same = install(client, made, wanted(host, 'alpha\n'))
    assert same.layers[0].layer_id == old.layers[0].layer_id and version_of(same) == '1.0'
    new = install(client, made, wanted(host, 'alpha\n', True))
    assert version_of(new) == '1.1' and new.layers[0].origin == pb.LAYER_ORIGIN_MADE
    assert not new.hit and new.dependency_hash == old.dependency_hash
    assert layer_of(client, new).layer_key == layer_of(client, old).layer_key
    after = install(client, made, wanted(host, 'alpha\n'))
    assert after.layers[0].layer_id == new.layers[0].layer_id

    # Leases keep what they have, and only they.
    assert version_of(old) == '1.0'
    assert layer_of(client, old).superseded and not layer_of(client, new).superseded
    assert not client.collect().layers
    client.release(same.lease_id)
    assert version_of(old) == '1.0'
    client.release(old.lease_id)
    wait_for(lambda: layer_ids(client) == {new.layers[0].layer_id}, 'the old layer to go')
    assert version_of(new) == version_of(after) == '1.1'
    host.expect_tidy(client)
    for response in new, after:
        client.release(response.lease_id)
    assert len(client.collect().layers) == 1


def test_one_that_nobody_leases_goes_at_once(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    client.release(old.lease_id)
    index.publish(file(made, 'alpha-1.1'))
    new = install(client, made, wanted(host, 'alpha\n', True))
    wait_for(lambda: layer_ids(client) == {new.layers[0].layer_id}, 'the old layer to go')
    host.expect_tidy(client)


def test_the_same_answer_changes_nothing(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    before = layer_of(client, old)
    asked = index.asked('/simple/alpha/')
    again = install(client, made, wanted(host, 'alpha\n', True))
    assert index.asked('/simple/alpha/') > asked
    assert again.layers[0].layer_id == old.layers[0].layer_id
    assert again.layers[0].origin == pb.LAYER_ORIGIN_FOUND and not again.hit
    after = layer_of(client, again)
    assert after.resolved_unix_ms > before.resolved_unix_ms >= before.created_unix_ms
    assert after.packages == before.packages and not after.superseded
    counters = client.status().counters
    assert (counters.layers_made, counters.layers_failed) == (1, 0)
    host.expect_tidy(client)


def test_what_is_pinned_is_not_asked_for_again(made, index, host):
    client = host.connect()
    index.publish(file(made, 'alpha-1.1'))
    for text, version in ('alpha==1.0\n', '1.0'), ('beta==1.0\nalpha==1.1\n', '1.1'):
        first = install(client, made, wanted(host, text))
        wait_for(lambda text=text: install(client, made, wanted(host, text)).hit, 'a hit')
        asked = index.asked()
        again = install(client, made, wanted(host, text, True))
        assert again.hit and again.layers[0].layer_id == first.layers[0].layer_id
        assert index.asked() == asked and version_of(again) == version


def test_what_comes_with_what_is_pinned_is(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'beta==1.0\n'))
    index.publish(file(made, 'alpha-1.1'))
    new = install(client, made, wanted(host, 'beta==1.0\n', True))
    assert (version_of(old), version_of(new)) == ('1.0', '1.1')


def test_a_directory_of_packages_says_always_the_same(made, index, host):
    client = host.connect()
    first = install(client, made, wanted(host, 'alpha\n', False, made / 'packages'))
    again = install(client, made, wanted(host, 'alpha\n', True, made / 'packages'))
    assert again.layers[0].layer_id == first.layers[0].layer_id
    assert client.status().counters.layers_made == 1 and index.asked() == 0


@pytest.mark.parametrize('how, reason', [(404, 'PACKAGE_NOT_FOUND'), (403, 'INDEX_REFUSED')])
def test_when_it_fails_what_was_there_stays(made, index, host, how, reason):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    index.fail('/simple/alpha/', how)
    failure = client.fail_to_create(
        requirements=wanted(host, 'alpha\n', True), python=python_of(made))
    assert failure.reason == reason, failure
    same = install(client, made, wanted(host, 'alpha\n'))
    assert same.layers[0].layer_id == old.layers[0].layer_id and version_of(same) == '1.0'
    assert not layer_of(client, old).superseded
    host.expect_tidy(client)


def test_without_a_layer_it_is_as_any_other(made, index, host):
    client = host.connect()
    assert version_of(install(client, made, wanted(host, 'alpha\n', True))) == '1.0'
    assert client.status().counters.layers_made == 1


def test_many_are_one_install_and_nobody_else_waits(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    index.publish(file(made, 'alpha-1.1'))
    go_on = threading.Event()
    index.fail('/simple/alpha/', go_on)
    asked = index.asked('/simple/alpha/')
    calls = [refresh_later(client, made, host, 'alpha\n') for _ in range(10)]
    wait_for(lambda: index.asked('/simple/alpha/') > asked, 'the index to be asked')
    wait_for(lambda: max((row.waiters for row in client.admin.ListCreations(
        pb.ListRequest()).creations if row.kind == 'layer'), default=0) == 10, 'all to wait')
    same = install(client, made, wanted(host, 'alpha\n'))
    assert same.layers[0].layer_id == old.layers[0].layer_id
    go_on.set()
    answers = [call.result() for call in calls]
    assert len({answer.layers[0].layer_id for answer in answers}) == 1
    assert {version_of(answer) for answer in answers} == {'1.1'}
    assert client.status().counters.layers_made == 2


def test_nobody_waits_for_it_any_more(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    index.fail('/simple/alpha/', 'hang', 1)
    asked = index.asked('/simple/alpha/')
    call = refresh_later(client, made, host, 'alpha\n')
    wait_for(lambda: index.asked('/simple/alpha/') > asked, 'the index to be asked')
    call.cancel()
    wait_for(lambda: layer_ids(client) == {old.layers[0].layer_id}, 'the attempt to be removed')
    assert install(client, made, wanted(host, 'alpha\n')).layers[0].layer_id == \
        old.layers[0].layer_id
    index.publish(file(made, 'alpha-1.1'))
    assert version_of(install(client, made, wanted(host, 'alpha\n', True))) == '1.1'


def test_a_repeated_request_is_answered_from_its_lease(made, index, host):
    client = host.connect()
    install(client, made, wanted(host, 'alpha\n'))
    index.publish(file(made, 'alpha-1.1'))
    first = install(client, made, wanted(host, 'alpha\n', True), request_id='one')
    asked = index.asked()
    again = install(client, made, wanted(host, 'alpha\n', True), request_id='one')
    assert again.lease_id == first.lease_id and index.asked() == asked
    failure = client.fail_to_create(
        requirements=wanted(host, 'alpha\n'), python=python_of(made), request_id='one')
    assert failure.reason == 'REQUEST_ID_REUSED'


def test_a_daemon_that_dies_meanwhile_keeps_what_was_there(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    index.fail('/simple/alpha/', 'hang', 1)
    asked = index.asked('/simple/alpha/')
    call = refresh_later(client, made, host, 'alpha\n')
    wait_for(lambda: index.asked('/simple/alpha/') > asked, 'the index to be asked')
    host.kill()
    assert call.exception()
    host.start()
    same = install(client, made, wanted(host, 'alpha\n'))
    assert same.layers[0].layer_id == old.layers[0].layer_id
    host.expect_tidy(client)


def test_a_daemon_that_starts_again_knows_what_is_superseded(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    index.publish(file(made, 'alpha-1.1'))
    new = install(client, made, wanted(host, 'alpha\n', True))
    host.kill()
    host.start()
    assert version_of(old) == '1.0' and layer_of(client, old).superseded
    after = install(client, made, wanted(host, 'alpha\n'))
    assert after.layers[0].layer_id == new.layers[0].layer_id
    client.release(old.lease_id)
    wait_for(lambda: layer_ids(client) == {new.layers[0].layer_id}, 'the old layer to go')
    host.expect_tidy(client)


def test_pyenvctl_asks_for_it_and_shows_it(made, index, host):
    client = host.connect()
    old = install(client, made, wanted(host, 'alpha\n'))
    index.publish(file(made, 'alpha-1.1'))
    path = host.sources / 'requirements.txt'
    host.ctl('create', '--requirements', path, '--python', python_of(made), '--refresh')
    shown = host.ctl('show', old.layers[0].layer_id).stdout
    assert 'state:               superseded\n' in shown and '\nresolved: ' in shown
    listed = host.ctl('list', 'layers').stdout.splitlines()
    assert sorted(line.split()[2] for line in listed[1:]) == ['ready', 'superseded']
    failed = host.ctl('create', '--refresh', check=False)
    assert failed.returncode and 'requirements' in failed.stderr
