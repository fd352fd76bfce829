"""The main job: create, use, share, release."""
import os
import pathlib
import stat
import subprocess
import zipfile

import pytest
import pyenvd_pb2 as pb
from archives import DIRECTORY, FILE, HARD, LINK, make_sample, make_tar, make_zip
from host import archive, digest_of, wait_for


def test_an_archive_is_prepared_once_and_handed_out_again(host, client):
    source = make_sample(host.sources / 'a.zip')
    first = client.create([archive(source, 'data')])
    second = client.create([archive(source, 'data')])
    assert not first.hit
    assert first.layers[0].origin == pb.LAYER_ORIGIN_MADE
    assert second.layers[0].origin == pb.LAYER_ORIGIN_FOUND
    assert second.dependency_hash == first.dependency_hash
    assert second.working_directory != first.working_directory
    for response in (first, second):
        content = pathlib.Path(response.working_directory, 'data', 'd1', 'f1.txt').read_text()
        assert content.startswith('1\n1\n')
    assert client.status().counters.layers_made == 1


def test_equal_content_is_the_same_wherever_it_lies(host, client):
    one = make_sample(host.sources / 'one.zip')
    two = host.sources / 'two.zip'
    two.write_bytes(one.read_bytes())
    first = client.create([archive(one, 'data')])
    second = client.create([archive(two, 'data')])
    assert second.layers[0].layer_id == first.layers[0].layer_id
    assert second.dependency_hash == first.dependency_hash


def test_other_content_at_the_same_path_is_another_environment(host, client):
    source = make_sample(host.sources / 'a.zip')
    first = client.create([archive(source, 'data')])
    make_sample(source, salt='x')
    second = client.create([archive(source, 'data')])
    assert second.dependency_hash != first.dependency_hash
    assert second.layers[0].layer_id != first.layers[0].layer_id


def test_a_released_lease_is_gone_and_its_layer_stays(host, client):
    source = make_sample(host.sources / 'a.zip')
    response = client.create([archive(source, 'data')])
    assert client.release(response.lease_id)
    assert not client.release(response.lease_id)
    wait_for(lambda: not os.path.exists(response.base_directory), 'the lease to be removed')
    assert client.create([archive(source, 'data')]).layers[0].origin == pb.LAYER_ORIGIN_FOUND


def test_what_a_tar_says_of_its_entries_is_kept(host, client):
    source = make_tar(host.sources / 'a.tar.gz', [
        ('bin', DIRECTORY, None),
        ('bin/run', FILE, '#!/bin/sh\n', 0o755),
        ('bin/set', FILE, 'x', 0o4755),
        ('plain', FILE, 'text', 0o600),
        ('link', LINK, 'bin/run'),
        ('outside', LINK, '/usr/bin/env'),
        ('hard', HARD, 'plain'),
        ('ünï', FILE, 'code'),
    ], 'w:gz')
    tree = pathlib.Path(client.create([archive(source, 'a')]).working_directory, 'a')
    assert stat.S_IMODE((tree / 'bin/run').stat().st_mode) == 0o555
    assert stat.S_IMODE((tree / 'bin/set').stat().st_mode) == 0o555
    assert stat.S_IMODE((tree / 'plain').stat().st_mode) == 0o444
    assert stat.S_IMODE((tree / 'bin').stat().st_mode) == 0o555
    assert os.readlink(tree / 'link') == 'bin/run'
    assert os.readlink(tree / 'outside') == '/usr/bin/env'
    assert (tree / 'hard').stat().st_ino == (tree / 'plain').stat().st_ino
    assert (tree / 'ünï').read_text() == 'code'
    for name in ('bin/run', 'plain', 'bin'):
        assert (tree / name).stat().st_mtime == 1_700_000_000


def test_what_a_zip_says_of_its_entries_is_kept(host, client):
    source = make_zip(host.sources / 'a.zip', [
        ('bin/', 0o040755, ''),
        ('bin/run', 0o100755, '#!/bin/sh\n'),
        ('plain', 0o100600, 'text'),
        ('link', 0o120777, 'bin/run'),
        ('large', 0o100644, os.urandom(700_000) + b'\0' * 3_000_000),
        ('empty', 0o100644, ''),
    ])
    tree = pathlib.Path(client.create([archive(source, 'a')]).working_directory, 'a')
    assert stat.S_IMODE((tree / 'bin/run').stat().st_mode) == 0o555
    assert stat.S_IMODE((tree / 'plain').stat().st_mode) == 0o444
    assert os.readlink(tree / 'link') == 'bin/run'
    assert (tree / 'large').read_bytes() == zipfile.ZipFile(source).read('large')
    assert (tree / 'empty').read_bytes() == b''


def test_a_zip_without_unix_modes_has_an_executable_interpreter(host, client):
    source = make_zip(host.sources / 'a.zip', [
        ('venv/bin/python', 0, '#!/bin/sh\nexec /usr/bin/python3 "$@"\n'),
        ('venv/lib/x.py', 0, 'x = 1\n'),
    ])
    response = client.create([archive(source, 'a')], python='a/venv/bin/python')
    assert subprocess.check_output([response.interpreter, '-c', 'print(6)'], text=True) == '6\n'
    tree = pathlib.Path(response.layers[0].directory)
    assert stat.S_IMODE((tree / 'venv/lib/x.py').stat().st_mode) == 0o444


@pytest.mark.parametrize('mode', ['w', 'w:gz', 'w:bz2', 'w:xz'])
def test_archives_are_known_by_their_content(host, client, mode):
    source = make_tar(host.sources / 'named.zip', [('f', FILE, 'x' * 100_000)], mode)
    tree = pathlib.Path(client.create([archive(source, 'a')]).working_directory, 'a')
    assert (tree / 'f').read_text() == 'x' * 100_000


def test_zstd_and_several_gzip_members(host, client):
    plain = make_tar(host.sources / 'a.tar', [('f', FILE, 'x' * 100_000)])
    subprocess.run(['zstd', '-q', plain, '-o', host.sources / 'a.tar.zst'], check=True)
    text = plain.read_bytes()
    import gzip
    half = len(text) // 2
    (host.sources / 'two.tgz').write_bytes(gzip.compress(text[:half]) + gzip.compress(text[half:]))
    for name in ('a.tar.zst', 'two.tgz'):
        tree = pathlib.Path(
            client.create([archive(host.sources / name, 'a')]).working_directory, 'a')
        assert (tree / 'f').read_text() == 'x' * 100_000


def test_a_layer_can_be_read_by_the_tools_of_others(host, client):
    source = make_sample(host.sources / 'a.zip')
    layer = pathlib.Path(client.create([archive(source, 'a')]).layers[0].directory).parent
    listing = subprocess.check_output(['bsdtar', '-tf', layer / 'manifest'], text=True)
    assert './d1/f1.txt' in listing.split('\n')


def test_python_files_follow_flink(host, client):
    (host.sources / 'mod.py').write_text('x = 1\n')
    make_zip(host.sources / 'lib.zip', [('inside.py', 0o100644, 'y = 2\n')])
    make_zip(host.sources / 'pkg.whl', [('wheeled.py', 0o100644, 'z = 3\n')])
    package = host.sources / 'package'
    package.mkdir()
    (package / 'deep.py').write_text('w = 4\n')
    files = [pb.PythonFile(path=str(host.sources / name))
             for name in ('mod.py', 'lib.zip', 'pkg.whl', 'package')]
    files.append(pb.PythonFile(path=str(host.sources / 'mod.py'), name='renamed.py'))
    response = client.create(python_files=files, python_path='/opt/a:/opt/b',
                             python='python3',
                             base_variables={'PATH': os.environ['PATH'], 'PYTHONPATH': '/last'})
    path = response.variables['PYTHONPATH'].split(':')
    assert path[:2] == ['/opt/a', '/opt/b'] and path[-1] == '/last'
    assert path[4].endswith('/pkg.whl') and path[5].endswith('/package')
    program = 'import mod, inside, wheeled, deep, renamed; print(mod.x, inside.y, wheeled.z, deep.w)'
    output = subprocess.check_output([response.interpreter, '-c', program], text=True,
                                     env=dict(response.variables))
    assert output == '1 2 3 4\n'


def test_private_copies_can_be_written_and_links_cannot(host, client):
    source = make_sample(host.sources / 'a.zip')
    response = client.create([archive(source, 'mine', private_copy=True), archive(source, 'ours')])
    work = pathlib.Path(response.working_directory)
    assert not (work / 'mine').is_symlink() and (work / 'ours').is_symlink()
    (work / 'mine/d1/new').write_text('x')
    (work / 'mine/d1/f1.txt').write_text('changed')
    assert (work / 'ours/d1/f1.txt').read_text().startswith('1\n')
    assert len({layer.layer_id for layer in response.layers}) == 1
    assert client.release(response.lease_id)
    wait_for(lambda: not work.exists(), 'the private copy to be removed')


def test_the_interpreter_may_be_absolute_or_from_the_path(host, client):
    tool = host.sources / 'tool'
    tool.write_text('#!/bin/sh\nexec /usr/bin/python3 "$@"\n')
    tool.chmod(0o755)
    assert client.create(python=str(tool)).interpreter == str(tool)
    response = client.create(python='tool', base_variables={'PATH': f'/nowhere:{host.sources}'})
    assert response.interpreter == str(tool)
    assert response.variables['PATH'] == f'/nowhere:{host.sources}'


def test_progress_is_told_before_the_result(host, client):
    source = make_sample(host.sources / 'a.zip')
    request = pb.CreateEnvironmentRequest(archives=[archive(source, 'a')])
    events = list(client.environments.CreateEnvironmentWithProgress(request, timeout=60))
    assert events[-1].WhichOneof('event') == 'result'
    assert all(event.WhichOneof('event') == 'progress' for event in events[:-1])
    assert client.leases()[0].lease_id == events[-1].result.lease_id


def test_everything_can_be_shown(host, client):
    source = make_sample(host.sources / 'a.zip')
    response = client.create([archive(source, 'a')], label='job', variables={'TOKEN': 'secret'})
    lease = client.admin.Show(pb.ShowRequest(id=response.lease_id)).lease
    assert lease.label == 'job' and lease.layer_ids == [response.layers[0].layer_id]
    layer = client.admin.Show(pb.ShowRequest(id=response.layers[0].layer_id)).layer
    assert layer.leases == 1 and layer.state == pb.LAYER_STATE_READY
    shown = client.admin.Show(pb.ShowRequest(id=response.dependency_hash[:12])).environment
    assert shown.dependency_hash == response.dependency_hash
    kinds = [(part.kind, part.name) for part in shown.components]
    assert kinds == [('archive', 'a'), ('variable', 'TOKEN'), ('archive-content', 'a'),
                     ('bytecode', '')]
    assert shown.components[2].value == digest_of(source.read_bytes())
    assert 'secret' not in str(shown)
    assert b'secret' not in (host.state / 'index.db').read_bytes()
    assert 'secret' not in host.log.read_text()
