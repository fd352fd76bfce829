"""Uploads: content that the daemon cannot read comes over the socket, and is kept."""
import itertools
import os
import pathlib
import random
import signal
import sqlite3
import stat
import threading

import grpc
import pytest
from archives import make_sample
from google.rpc import error_details_pb2, status_pb2
from host import IS_ROOT, PATIENCE, Host, digest_of, failure_of, pb, ttl, wait_for
from remote import Remote

USER, OTHER = 65534, 65533
asks_for_root = pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')


def sample(host, name='a.zip', **options):
    """The bytes of an archive that is not there any more."""
    path = make_sample(host.sources / name, **options)
    content = path.read_bytes()
    path.unlink()
    return content


def large(size, seed=1):
    return random.Random(seed).randbytes(size)


def uploaded(sha256, target, **fields):
    return pb.Archive(sha256=sha256, target_dir=target, **fields)


class Stalled:
    """An upload that has sent so much, and then nothing until it is told."""

    def __init__(self, client, content, sent):
        self.go_on = threading.Event()
        self.call = client.environments.UploadArtifact.future(self.parts(content, sent),
                                                              timeout=PATIENCE)

    def parts(self, content, sent):
        yield pb.UploadArtifactRequest(header=pb.ArtifactHeader(
            sha256=digest_of(content), size_bytes=len(content)))
        for i in range(0, sent, 65536):
            yield pb.UploadArtifactRequest(chunk=content[i:min(i + 65536, sent)])
        self.go_on.wait(PATIENCE)
        for i in range(sent, len(content), 65536):
            yield pb.UploadArtifactRequest(chunk=content[i:i + 65536])

    def end(self):
        self.go_on.set()
        return self.call.result()

    def cut(self):
        self.call.cancel()
        self.go_on.set()


def creations(client):
    return client.admin.ListCreations(pb.ListRequest(), timeout=PATIENCE).creations


def came(client):
    """How many bytes have come of the uploads under way."""
    return [row.done_bytes for row in creations(client) if row.kind == 'upload']


# -- going well

def test_what_was_uploaded_is_used(host, client):
    content = sample(host)
    answer = client.upload(content)
    assert not answer.was_there
    assert (answer.artifact.sha256, answer.artifact.size_bytes) == (digest_of(content),
                                                                    len(content))
    response = client.create([uploaded(digest_of(content), 'a')])
    assert pathlib.Path(response.working_directory, 'a/d1/f1.txt').exists()
    assert response.layers[0].source == f'sha256:{digest_of(content)}'
    assert not response.hit
    assert client.create([uploaded(digest_of(content), 'a')]).hit
    assert client.status().counters.sources_hashed == 0
    file, = (host.state / 'artifacts').iterdir()
    assert file.name == f'{digest_of(content)}-{os.geteuid()}'
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
    host.expect_tidy(client)


def test_an_upload_and_a_file_are_the_same(host, client):
    path = make_sample(host.sources / 'a.zip')
    module = host.sources / 'm.py'
    module.write_text('x = 1\n')
    one = client.create([pb.Archive(path=str(path), target_dir='a')],
                        python_files=[pb.PythonFile(path=str(module))])
    for source in (path, module):
        client.upload(source.read_bytes())
    two = client.create(
        [uploaded(digest_of(path.read_bytes()), 'a')],
        python_files=[pb.PythonFile(sha256=digest_of(module.read_bytes()), name='m.py')])
    assert two.hit and two.dependency_hash == one.dependency_hash
    assert [it.layer_id for it in two.layers] == [it.layer_id for it in one.layers]


def test_python_files_of_each_kind(host, client):
    module, library = b'x = 1\n', sample(host)
    for content in (module, library):
        client.upload(content)
    response = client.create(python_files=[
        pb.PythonFile(sha256=digest_of(module), name='m.py'),
        pb.PythonFile(sha256=digest_of(library), name='lib.zip'),
        pb.PythonFile(sha256=digest_of(library), name='lib.whl')])
    one, two, three = response.variables['PYTHONPATH'].split(':')[:3]
    assert pathlib.Path(one, 'm.py').read_bytes() == module
    assert pathlib.Path(two, 'd1/f1.txt').exists()
    assert pathlib.Path(three).read_bytes() == library


def test_the_second_time_nothing_has_to_be_sent(host, client):
    content = sample(host)
    client.upload(content)
    assert client.find_artifact(digest_of(content)).size_bytes == len(content)

    # The answer comes at the header; whoever waits for it before going on sends nothing.
    calls = Stalled(client, content, 0)
    answer = calls.call.result(PATIENCE)
    assert answer.was_there
    calls.go_on.set()
    assert client.status().counters.uploads == 1
    host.expect_tidy(client)


def test_nothing_and_much_can_be_uploaded(host, client):
    assert client.upload(b'').artifact.size_bytes == 0
    response = client.create(python_files=[pb.PythonFile(sha256=digest_of(b''), name='m.py')])
    assert pathlib.Path(response.variables['PYTHONPATH'].split(':')[0], 'm.py').stat().st_size == 0
    content = large(40 << 20)
    for chunk in (1000003, 15 << 20):
        assert client.upload(content, chunk=chunk).artifact.size_bytes == len(content)
        file = host.state / 'artifacts' / f'{digest_of(content)}-{os.geteuid()}'
        assert file.read_bytes() == content
        # The answer comes while the client is still sending.
        assert client.upload(content, chunk=chunk).was_there
        client.collect()
        wait_for(lambda: not file.exists(), 'the artifact to be removed')


def two_of_the_same(host, client, content, sent):
    """The first one's bytes are taken, the second one's wait."""
    one = Stalled(client, content, sent)
    wait_for(lambda: came(client) == [sent], 'the first to begin')
    two = Stalled(host.connect(), content, sent)
    wait_for(lambda: came(client) == [sent, sent], 'the second')
    assert sorted(row.worker_pid > 0 for row in creations(client)) == [False, True]
    return one, two


def test_two_uploads_of_the_same_content_are_one(host, client):
    content = large(1 << 20)
    one, two = two_of_the_same(host, client, content, 70000)
    answer = one.end()
    assert not answer.was_there
    # Before the client has sent the rest, which nobody needs.
    assert two.call.result().was_there
    assert two.call.result().artifact.sha256 == answer.artifact.sha256 == digest_of(content)
    assert len(client.artifacts()) == 1
    assert client.status().counters.uploads == 1
    two.go_on.set()
    host.expect_tidy(client)


@pytest.mark.parametrize('ended', [False, True], ids=['sending', 'sent'])
@pytest.mark.parametrize('size', [100000, 5 << 20], ids=['small', 'large'])
def test_an_upload_that_is_given_up_is_taken_over(host, client, size, ended):
    content = large(size)
    one, two = two_of_the_same(host, client, content, 70000)
    if ended:
        two.go_on.set()
        wait_for(lambda: max(came(client)) >= min(size, 1 << 20), 'what the pipe takes')
    one.cut()
    assert not two.end().was_there
    assert client.artifacts()[0].size_bytes == size
    counters = client.status().counters
    assert (counters.uploads, counters.uploads_failed) == (1, 1)
    host.expect_tidy(client)


def test_of_many_uploads_that_fail_the_last_goes_well(host, client):
    content = large(300000)
    calls = [Stalled(host.connect(), content, 70000) for _ in range(6)]
    wait_for(lambda: len(came(client)) == 6, 'all to be there')
    for call in calls[:5]:
        call.cut()
    assert not calls[5].end().was_there
    assert client.status().counters.uploads == 1
    host.expect_tidy(client)


def test_a_disk_that_is_slow_makes_the_client_wait(host, client):
    content = large(64 << 20)
    upload = Stalled(client, content, 0)
    worker = wait_for(lambda: [row.worker_pid for row in creations(client) if row.worker_pid],
                      'the upload to begin')[0]
    os.kill(worker, signal.SIGSTOP)
    upload.go_on.set()
    other = host.connect()
    wait_for(lambda: came(other)[0] > 1 << 20, 'the first bytes')
    for _ in range(300):
        assert came(other)[0] < 4 << 20  # the pipe's, the window's, and a message's
    os.kill(worker, signal.SIGCONT)
    assert upload.end().artifact.size_bytes == len(content)


def test_uploads_are_listed_while_they_last(host, client):
    content = large(100000)
    upload = Stalled(client, content, 70000)
    row = wait_for(lambda: creations(client), 'the upload')[0]
    assert (row.kind, row.subject, row.phase) == ('upload', digest_of(content), pb.PHASE_UPLOAD)
    assert (row.uid, row.total_bytes) == (os.geteuid(), len(content))
    upload.end()
    assert client.artifacts()[0].size_bytes == len(content)
    assert client.status().artifact_bytes == len(content)


# -- going wrong

def expect_no_trace(host, client, before):
    wait_for(lambda: not client.status().creations, 'the upload to be gone')
    assert host.snapshot() == before
    host.expect_tidy(client)
    client.upload(b'the next one works')


def test_other_content_is_refused(host, client):
    content, before = large(300000), host.snapshot()
    failure = client.fail_to_upload(content, sha256=digest_of(b'other'))
    assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
    assert failure.reason == 'ARTIFACT_MISMATCH'
    assert digest_of(content) in failure.message and digest_of(b'other') in failure.message
    expect_no_trace(host, client, before)


@pytest.mark.parametrize('said, words', [(299999, 'more bytes came than the 299999'),
                                         (300001, 'only 300000 bytes came of the 300001')])
def test_more_or_fewer_bytes_are_refused(host, client, said, words):
    before = host.snapshot()
    failure = client.fail_to_upload(large(300000), size=said)
    assert failure.reason == 'ARTIFACT_MISMATCH' and words in failure.message
    expect_no_trace(host, client, before)


def test_what_is_no_upload_is_refused(host, client):
    before = host.snapshot()

    def fail(*parts):
        try:
            client.environments.UploadArtifact(iter(parts), timeout=PATIENCE)
        except grpc.RpcError as error:
            return failure_of(error)
        raise AssertionError('it went well')
    chunk = pb.UploadArtifactRequest(chunk=b'x')
    header = pb.UploadArtifactRequest(header=pb.ArtifactHeader(sha256=digest_of(b'x'),
                                                               size_bytes=1))
    for parts in ([], [chunk], [header, header], [header, pb.UploadArtifactRequest()]):
        failure = fail(*parts)
        assert failure.code == grpc.StatusCode.INVALID_ARGUMENT
        assert failure.reason == 'REQUEST_INVALID', failure
    for sha256 in ('', 'abc', digest_of(b'x').upper(), digest_of(b'x') + '0'):
        failure = fail(pb.UploadArtifactRequest(header=pb.ArtifactHeader(sha256=sha256)))
        assert failure.reason == 'REQUEST_INVALID' and 'SHA-256' in failure.message
    expect_no_trace(host, client, before)


def test_a_create_says_where_each_input_is_and_once(host, client):
    digest = digest_of(b'x')
    for archive in (pb.Archive(target_dir='a'), pb.Archive(sha256='../x', target_dir='a'),
                    pb.Archive(path='/x', sha256=digest, target_dir='a')):
        failure = client.fail_to_create([archive])
        assert failure.reason == 'REQUEST_INVALID', failure
    failure = client.fail_to_create(python_files=[pb.PythonFile(sha256=digest)])
    assert failure.reason == 'REQUEST_INVALID' and 'no name' in failure.message
    failure = client.fail_to_create([uploaded(digest, 'a')])
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, 'ARTIFACT_NOT_FOUND')


def test_a_failed_create_names_its_source(host, client):
    good = make_sample(host.sources / 'a.zip')
    with pytest.raises(grpc.RpcError) as caught:
        client.create([pb.Archive(path=str(good), target_dir='a'),
                       pb.Archive(path='/not/there.zip', target_dir='b')])
    assert source_of(caught.value) == '/not/there.zip'
    content = b'no archive'
    client.upload(content)
    with pytest.raises(grpc.RpcError) as caught:
        client.create([uploaded(digest_of(content), 'a')])
    assert source_of(caught.value) == f'sha256:{digest_of(content)}'
    failure = failure_of(caught.value)
    assert failure.reason == 'ARCHIVE_UNRECOGNISED'
    assert f'sha256:{digest_of(content)}' in failure.message
    assert str(host.state) not in failure.message


def source_of(error):
    for key, value in error.trailing_metadata():
        if key == 'grpc-status-details-bin':
            info = error_details_pb2.ErrorInfo()
            assert status_pb2.Status.FromString(value).details[0].Unpack(info)
            return info.metadata['source']
    raise AssertionError('no details')


def test_a_client_that_cancels_leaves_nothing(host, client):
    before = host.snapshot()
    upload = Stalled(client, large(3 << 20), 2 << 20)
    wait_for(lambda: came(client) == [2 << 20], 'the first bytes')
    upload.cut()
    expect_no_trace(host, client, before)
    wait_for(lambda: client.status().counters.uploads_failed == 1, 'it to be counted')


def test_a_client_that_is_killed_leaves_nothing(host, client):
    before = host.snapshot()
    with Remote(host) as remote:
        remote.begin('upload', itertools.repeat(bytes(4096)), digest_of(b'x'), 1 << 30)
        wait_for(lambda: sum(came(client)) > 1 << 20, 'the first bytes')
        remote.kill()
    expect_no_trace(host, client, before)


def test_a_daemon_that_is_killed_leaves_nothing(host, client):
    kept = large(1000)
    client.upload(kept)
    before = host.snapshot()
    upload = Stalled(client, large(3 << 20, seed=2), 2 << 20)
    wait_for(lambda: came(client) == [2 << 20], 'the first bytes')
    host.kill()
    with pytest.raises(grpc.RpcError):
        upload.end()
    host.start()
    assert host.snapshot() == before
    host.expect_tidy(client)
    assert client.upload(kept).was_there
    assert not client.upload(large(3 << 20, seed=2)).was_there


def test_a_daemon_that_stops_lets_an_upload_end(host, client):
    content = large(100000)
    upload = Stalled(client, content, 70000)
    wait_for(lambda: came(client) == [70000], 'the first bytes')
    host.process.terminate()
    wait_for(lambda: 'stopping' in host.log.read_text(), 'it to stop')
    assert upload.end().artifact.sha256 == digest_of(content)
    assert host.process.wait(PATIENCE) == 0
    host.start()
    assert client.find_artifact(digest_of(content)).size_bytes == len(content)


# -- limits

def test_an_upload_that_stalls_is_given_up():
    with Host('--upload-timeout', '1') as host:
        client = host.connect()
        before = host.snapshot()
        upload = Stalled(client, large(100000), 70000)
        with pytest.raises(grpc.RpcError) as caught:
            upload.call.result(PATIENCE)
        failure = failure_of(caught.value)
        assert failure.code == grpc.StatusCode.DEADLINE_EXCEEDED
        assert failure.reason == 'UPLOAD_STALLED'
        assert '70000 of 100000 bytes' in failure.message
        upload.go_on.set()
        expect_no_trace(host, client, before)


def test_sizes_and_numbers_have_limits():
    with Host('--max-layer-bytes', '1M', '--max-uploads', '2') as host:
        client = host.connect()
        before = host.snapshot()
        failure = client.fail_to_upload(large(2 << 20))
        assert failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure.reason == 'LIMIT_EXCEEDED'
        uploads = [Stalled(client, large(100000, seed=i), 70000) for i in range(2)]
        wait_for(lambda: came(client) == [70000, 70000], 'both to be there')
        failure = client.fail_to_upload(b'x')
        assert failure.reason == 'TOO_MANY' and '2 uploads' in failure.message
        for upload in uploads:
            upload.cut()
        expect_no_trace(host, client, before)


def test_what_does_not_fit_on_the_disk_is_refused_before_it_comes():
    with Host('--max-layer-bytes', '0') as host:
        client = host.connect()
        before = host.snapshot()
        failure = client.fail_to_upload(b'x', size=1 << 60)
        assert failure.code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert failure.reason == 'NO_SPACE' and str(1 << 60) in failure.message
        expect_no_trace(host, client, before)


# -- users

@asks_for_root
@pytest.mark.parametrize('sharing', ['user', 'all'])
def test_a_digest_alone_gives_nobody_content(sharing):
    with Host('--sharing', sharing) as host, Remote(host, USER) as one, Remote(host, OTHER) as two:
        content = sample(host)
        digest = digest_of(content)
        one.call('upload', content)
        mine = one.call('create', [uploaded(digest, 'a')], holder=ttl())
        assert mine.layers[0].origin == pb.LAYER_ORIGIN_MADE
        assert two.fail('find_artifact', digest).reason == 'ARTIFACT_NOT_FOUND'
        assert two.fail('create', [uploaded(digest, 'a')]).reason == 'ARTIFACT_NOT_FOUND'
        assert two.call('artifacts') == []
        # Having presented the bytes does, and then the layer is shared if all may share.
        assert not two.call('upload', content).was_there
        theirs = two.call('create', [uploaded(digest, 'a')])
        assert (theirs.layers[0].layer_id == mine.layers[0].layer_id) == (sharing == 'all')
        assert [it.uid for it in two.call('artifacts')] == [OTHER]
        client = host.connect()
        assert sorted(it.uid for it in client.artifacts()) == [OTHER, USER]
        host.expect_tidy(client)


# -- how long they stay

def test_artifacts_are_collected_like_layers(host, client):
    contents = [large(1000, seed=i) for i in range(3)]
    for content in contents:
        client.upload(content)
    client.find_artifact(digest_of(contents[0]))  # used again: the last now
    dry = client.collect(dry_run=True, max_bytes=1500)
    assert [it.sha256 for it in dry.artifacts] == [digest_of(it) for it in contents[1:]]
    assert len(client.artifacts()) == 3
    done = client.collect(max_bytes=1500)
    assert list(done.artifacts) == list(dry.artifacts)
    assert (done.freed_bytes, done.kept_bytes) == (2000, 1000)
    assert [it.sha256 for it in client.artifacts()] == [digest_of(contents[0])]
    host.expect_tidy(client)
    assert not client.upload(contents[1]).was_there
    assert not client.collect(idle_seconds=3600).artifacts
    assert client.status().counters.artifacts_collected == 2


def test_the_limit_counts_artifacts_and_spares_the_last():
    with Host('--max-bytes', '100K') as host:
        client = host.connect()
        contents = [large(30000, seed=i) for i in range(6)]
        for content in contents:
            client.upload(content)
            assert client.status().artifact_bytes <= 100 * 1024
        assert client.find_artifact(digest_of(contents[-1]))
        too_large = large(200000)
        client.upload(too_large)  # alone above the limit, it stays for its create
        assert [it.sha256 for it in client.artifacts()] == [digest_of(too_large)]
        host.expect_tidy(client)


def test_an_artifact_in_use_is_not_collected(host, client):
    content = sample(host, files=400, size=100_000)
    client.upload(content)
    creating = client.environments.CreateEnvironment.future(
        pb.CreateEnvironmentRequest(archives=[uploaded(digest_of(content), 'a')]), timeout=PATIENCE)

    rows = wait_for(lambda: [row for row in creations(client) if row.worker_pid],
                    'the layer to be made')
    os.kill(rows[0].worker_pid, signal.SIGSTOP)
    collected = client.collect()
    os.kill(rows[0].worker_pid, signal.SIGCONT)
    assert not collected.artifacts and len(client.artifacts()) == 1
    assert len(creating.result().layers) == 1
    host.expect_tidy(client)


def test_artifacts_outlive_the_daemon(host, client):
    content = sample(host)
    client.upload(content)
    host.restart()
    assert client.find_artifact(digest_of(content)).size_bytes == len(content)
    host.kill()
    host.start()
    assert client.upload(content).was_there
    assert client.create([uploaded(digest_of(content), 'a')]).layers


def test_rows_and_files_agree_after_a_start(host, client):
    contents = [large(1000, seed=i) for i in range(4)]
    for content in contents:
        client.upload(content)
    assert host.stop() == 0
    files = [host.state / 'artifacts' / f'{digest_of(it)}-{os.geteuid()}' for it in contents]
    files[0].unlink()
    os.truncate(files[1], 500)
    files[2].rename(files[2].with_name(files[2].name.replace('-', '-0')))
    (host.state / 'artifacts' / 'gone.abcdefgh').write_bytes(b'x')
    (host.state / 'artifacts' / 'odd').mkdir()
    host.start()
    assert [it.sha256 for it in client.artifacts()] == [digest_of(contents[3])]
    host.expect_tidy(client)
    for content in contents:
        client.upload(content)
    assert len(client.artifacts()) == 4
    host.expect_tidy(client)


def test_after_a_loss_of_power_only_what_was_durable_stays(host, client):
    for content in (b'durable', b'not yet'):
        client.upload(content)
    assert host.stop() == 0
    index = sqlite3.connect(host.state / 'index.db')
    with index:
        index.execute("UPDATE settings SET value = 'another' WHERE name = 'boot_id'")
        index.execute('UPDATE artifacts SET durable = digest = ?', [digest_of(b'durable')])
    index.close()
    host.start()
    assert [it.sha256 for it in client.artifacts()] == [digest_of(b'durable')]
    host.expect_tidy(client)
