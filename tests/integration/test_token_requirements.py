"""Retrieval tokens of containers name the requirements as well: the file, what it includes and
all packages, so that they can be installed where they were retrieved to."""
import pathlib
import subprocess

import grpc
import pytest
from host import IS_ROOT, digest_of, ttl, wait_for
from remote import Remote
from test_token import DOCKER, kept, load, paths_of, token
from test_upload_requirements import (  # pylint: disable=unused-import
    USER, Files, client, host, made, python_of, sample)

asks_for_root = pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')


def create(client, made, wanted, **fields):
    return client.create(requirements=wanted, python=python_of(made), docker_worker=DOCKER,
                         holder=ttl(), **fields)


def names_of(files):
    """{name in the token: content}."""
    names = [f'python_requirements/{name}' for name in files.names]
    names += [f'python_requirements/packages/{path.name}' for path in files.packages()]
    return dict(zip(names, files.contents()))


def test_it_names_all_of_the_requirements(host, client, made):
    files = Files(host.sources, made / 'packages', dev='-r ./sub/base.txt\n-c limits.txt\nbeta\n',
                  sub__base='-c ../limits.txt\nalpha\n', limits='alpha<1.1\n')
    wanted = names_of(files)
    lease = create(client, made, files.by_path())
    # Whatever becomes of them now.
    for name in files.names:
        (host.sources / name).write_text('something else\n')
    path = token(client, lease)
    assert load(path) == {name: (0o644, content) for name, content in wanted.items()}
    assert len(kept(host)) == len(set(wanted.values()))
    host.expect_tidy(client)


def test_what_was_retrieved_can_be_installed(host, client, made, tmp_path):
    lease = create(client, made, sample(host, made).by_path())
    for name, (mode, content) in load(token(client, lease)).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    place = tmp_path / 'python_requirements'
    subprocess.run([python_of(made), '-m', 'pip', '-q', 'install', '--no-index', '--find-links',
                    place / 'packages', '-r', place / 'requirements.txt', '--target',
                    tmp_path / 'installed'], check=True, stdin=subprocess.DEVNULL)
    assert (tmp_path / 'installed/alpha/__init__.py').read_text().startswith("VERSION = '1.0'")


def test_uploads_are_named_as_paths_are(host, client, made):
    files = sample(host, made)
    by_path = load(token(client, create(client, made, files.by_path())))
    count = len(kept(host))
    uploaded = load(token(client, create(client, made, files.upload(client))))
    assert by_path == uploaded and len(kept(host)) == count


def test_without_a_name_it_is_requirements_txt(host, client, made):
    files = Files(host.sources, other='# nothing\n')
    wanted = files.upload(client)
    wanted.uploaded.name = ''
    assert list(load(token(client, create(client, made, wanted)))) == [
        'python_requirements/requirements.txt']


def test_one_that_is_read_twice_is_there_once(host, client, made):
    files = Files(host.sources, requirements='-r base.txt\n-c base.txt\n', base='# nothing\n')
    assert set(load(token(client, create(client, made, files.by_path())))) == set(names_of(files))


def test_a_lease_keeps_them_until_it_ends(host, client, made):
    files = sample(host, made)
    lease = create(client, made, files.by_path())
    path = token(client, lease)
    host.restart()
    assert not client.collect().artifacts
    assert set(load(path)) == set(names_of(files))
    client.release(lease.lease_id)
    client.collect()
    wait_for(lambda: not kept(host), 'the artifacts to go')
    host.expect_tidy(client)


def test_the_same_again_keeps_no_more(host, client, made):
    wanted = sample(host, made).by_path()
    first = create(client, made, wanted)
    where = paths_of(token(client, first))
    wait_for(lambda: create(client, made, wanted).hit, 'a hit')
    before = client.status().counters.workers_started
    assert paths_of(token(client, create(client, made, wanted))) == where
    assert client.status().counters.workers_started == before


def test_a_repeated_request_gives_the_same_lease(host, client, made):
    wanted = sample(host, made).by_path()
    one, two = (create(client, made, wanted, request_id='one') for _ in range(2))
    assert one.lease_id == two.lease_id
    assert load(token(client, one)) == load(token(client, two))


def test_without_a_container_nothing_is_kept(host, client, made):
    wanted = sample(host, made).by_path()
    client.create(requirements=wanted, python=python_of(made))
    assert not kept(host)
    lease = create(client, made, wanted)
    assert not lease.hit
    assert load(token(client, lease))


@pytest.mark.parametrize('include', ['../limits.txt', 'sub/../../limits.txt', 'absolute'])
def test_what_lies_elsewhere_cannot_be_given_to_a_container(host, client, made, include):
    if include == 'absolute':
        include = f'{host.sources}/req/limits.txt'
    files = Files(host.sources, req__requirements=f'-c {include}\n', limits='', req__limits='',
                  req__sub__more='')
    wanted = files.by_path()
    assert client.create(requirements=wanted, python=python_of(made))
    failure = client.fail_to_create(requirements=wanted, python=python_of(made),
                                    docker_worker=DOCKER)
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT, 'WORKER_MISMATCH')
    assert 'limits.txt' in failure.message and wanted.path in failure.message
    assert not any(path.startswith('artifacts/') for path in host.files())
    host.expect_tidy(client)


def test_uploads_from_elsewhere_cannot_be_given_to_a_container(host, client, made):
    (host.sources / 'req').mkdir()
    files = Files(host.sources / 'req', requirements='-c ../limits.txt\n')
    (host.sources / 'limits.txt').write_text('# other\n')
    files.names.append('../limits.txt')
    wanted = files.upload(client)
    assert client.create(requirements=wanted, python=python_of(made))
    failure = client.fail_to_create(requirements=wanted, python=python_of(made),
                                    docker_worker=DOCKER)
    assert failure.reason == 'WORKER_MISMATCH'


def test_very_many_cannot_be_given_to_a_container(host, client, made):
    directory = host.sources / 'packages'
    directory.mkdir()
    for i in range(2500):
        (directory / f'{i:060}.whl').touch()
    files = Files(host.sources, directory, requirements='# nothing\n')
    assert client.create(requirements=files.by_path(), python=python_of(made))
    failure = client.fail_to_create(requirements=files.by_path(), python=python_of(made),
                                    docker_worker=DOCKER)
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED, 'LIMIT_EXCEEDED')
    assert not kept(host)


@asks_for_root
def test_they_are_for_the_leases_user_alone(host, client, made):
    files = Files(host.sources, requirements='# mine\n')
    with Remote(host, USER) as user:
        lease = user.call('create', requirements=files.by_path(), python=python_of(made),
                          docker_worker=DOCKER, holder=ttl())
        path = token(client, lease)
    where, = paths_of(path)
    assert pathlib.Path(where).name == f'{digest_of(files.contents()[0])}-{USER}'

    def read(uid):
        return subprocess.run(['cat', where], user=uid, group=uid, extra_groups=[], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    assert read(USER) == b'# mine\n' and not read(USER - 1)
