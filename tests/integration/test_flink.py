"""A create given as Flink's configuration is the create that says the same in its own fields."""
import json
import os
import pathlib

import grpc
import pytest
import pyenvd_pb2 as pb
from archives import make_sample
from host import archive, ttl

INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def sources(host):
    """An interpreter, two archives, two files; also as Flink's blobs."""
    make_sample(host.sources / 'venv.zip')
    make_sample(host.sources / 'model.zip', salt='m')
    (host.sources / 'a.py').write_text('a = 1\n')
    (host.sources / 'b.py').write_text('b = 1\n')
    for number, name in enumerate(('venv.zip', 'model.zip', 'a.py', 'b.py')):
        os.link(host.sources / name, host.sources / f'blob_p-{number}')
    tools = host.sources / 'bin'
    tools.mkdir()
    for name in ('python', 'python9'):
        (tools / name).write_text('#!/bin/sh\nexec /usr/bin/python3 "$@"\n')
        (tools / name).chmod(0o755)
    return host.sources


def base(sources):
    return {'PATH': f'{sources}/bin', 'PYTHONPATH': '/base/lib'}


def flink(configuration, cached_files=None):
    return pb.FlinkConfiguration(
        configuration={key: str(value) for key, value in configuration.items()},
        cached_files={key: str(value) for key, value in (cached_files or {}).items()})


def explicit(sources):
    return {
        'archives': [archive(sources / 'venv.zip', 'venv'),
                     archive(sources / 'model.zip', 'model.zip')],
        'python_files': [pb.PythonFile(path=str(sources / name)) for name in ('b.py', 'a.py')],
        'python': 'python9',
        'python_path': '/opt/x:/opt/y',
        'variables': {'A': '1', 'B': "it's, 2:3"},
        'base_variables': base(sources),
    }


OWN = {'python.executable': 'python9', 'python.pythonpath': '/opt/x:/opt/y'}


def by_options(sources):
    return flink(OWN | {
        'python.files': f'{sources}/b.py,{sources}/a.py',
        'python.archives': f'{sources}/model.zip,{sources}/venv.zip#venv',
        'python.job-options': "A:1,'B:''it''''s, 2:3'''",
        'jobmanager.rpc.port': 6123,
        'python.fn-execution.bundle.size': 'a thousand',
    })


def by_options_with_prefix(sources):
    return flink(OWN | {
        'python.files': f'file://{sources}/b.py,{sources}/a.py,{sources}/b.py',
        'python.archives': f'{sources}/venv.zip#venv,{sources}/model.zip#model.zip',
        'python.job-options.B': "it's, 2:3",
        'python.job-options.A': 1,
        'python.systemenv.enabled': True,
        'python.execution-mode': 'process',
    })


def by_key_maps(sources):
    return flink(OWN | {
        'python.files': '/home/me/b.py,/home/me/a.py',
        'python.archives': 'hdfs://n/venv.zip#venv,hdfs://n/model.zip',
        'python.internal.files-key-map': '{python_file_9: b.py, python_file_1: a.py}',
        'python.internal.archives-key-map':
            '{python_archive_1: model.zip, python_archive_2: venv.zip#venv}',
        'python.job-options': """{A: '1', B: 'it''s, 2:3'}""",
    }, {
        'python_file_1': sources / 'blob_p-2',
        'python_file_9': sources / 'blob_p-3',
        'python_archive_1': sources / 'blob_p-1',
        'python_archive_2': sources / 'blob_p-0',
        'of another kind': 'elsewhere',
    })


def comparable(response):
    """The answer without what belongs to the lease, and without where the sources were."""
    variables = {name: value.replace(response.base_directory, 'LEASE')
                 for name, value in response.variables.items()}
    layers = sorted((layer.layer_id, layer.directory, layer.size_bytes)
                    for layer in response.layers)
    work = pathlib.Path(response.working_directory)
    links = {name: os.readlink(work / name) for name in os.listdir(work)}
    return response.dependency_hash, response.interpreter, variables, layers, links


@pytest.mark.parametrize('form', [by_options, by_options_with_prefix, by_key_maps])
def test_it_gives_the_same_environment_and_the_same_answer(sources, client, form):
    expected = client.create(**explicit(sources))
    given = client.create(flink=form(sources), base_variables=base(sources))
    assert comparable(given) == comparable(expected)
    assert set(comparable(given)[4]) == {'venv', 'model.zip'}
    assert given.variables['PYTHONPATH'].split(':')[:2] == ['/opt/x', '/opt/y']
    assert given.variables['PYTHONPATH'].endswith(':/base/lib')
    assert all(layer.origin == pb.LAYER_ORIGIN_FOUND for layer in given.layers)


def test_the_order_of_files_is_that_of_the_configuration(sources, client):
    first = client.create(flink=by_options(sources), base_variables=base(sources))
    other = by_options(sources)
    other.configuration['python.files'] = f'{sources}/a.py,{sources}/b.py'
    second = client.create(flink=other, base_variables=base(sources))
    assert second.dependency_hash != first.dependency_hash
    assert [layer.source for layer in second.layers][2:] == [f'{sources}/a.py', f'{sources}/b.py']


def test_without_an_executable_it_is_python_as_in_flink(sources, client):
    given = client.create(flink=flink({}), base_variables=base(sources))
    assert given.interpreter == f'{sources}/bin/python'
    expected = client.create(python='python', base_variables=base(sources))
    assert given.dependency_hash == expected.dependency_hash


def test_without_the_system_environment_the_base_variables_do_not_count(sources, client):
    fields = {'python.systemenv.enabled': 'false', 'python.files': f'{sources}/a.py',
              'python.executable': f'{sources}/bin/python'}
    given = client.create(flink=flink(fields), base_variables=base(sources))
    expected = client.create(python=f'{sources}/bin/python',
                             python_files=[pb.PythonFile(path=f'{sources}/a.py')])
    assert comparable(given) == comparable(expected)
    assert given.variables['PATH'] == '/usr/local/bin:/usr/bin:/bin'
    assert '/base/lib' not in given.variables['PYTHONPATH']


def test_a_retry_may_be_in_either_form_and_the_rest_combines(sources, client):
    rest = {'request_id': 'r1', 'label': 'job', 'holder': ttl(), 'bytecode': pb.BYTECODE_NEVER}
    fields = explicit(sources)
    fields['archives'].reverse()
    first = client.create(**fields, **rest)
    again = client.create(flink=by_options(sources), base_variables=base(sources), **rest)
    assert again.lease_id == first.lease_id
    other = by_options(sources)
    other.configuration['python.pythonpath'] = '/opt/z'
    failure = client.fail_to_create(flink=other, base_variables=base(sources), **rest)
    assert failure.reason == 'REQUEST_ID_REUSED', failure


BESIDE = {
    'archives': ([archive('/a.zip', 'a')], 'python.archives'),
    'python_files': ([pb.PythonFile(path='/a.py')], 'python.files'),
    'python': ('python', 'python.executable'),
    'python_path': ('/opt', 'python.pythonpath'),
    'variables': ({'A': '1'}, 'python.job-options'),
    'requirements': (pb.Requirements(path='/r.txt'), 'python.requirements'),
}


@pytest.mark.parametrize('field', BESIDE)
def test_what_is_said_in_both_ways_is_refused_with_both_names(host, client, field):
    value, option = BESIDE[field]
    before = host.snapshot()
    failure = client.fail_to_create(flink=flink({}), **{field: value})
    assert failure == (INVALID, 'REQUEST_INVALID', f'{field} is given beside flink: say it there '
                       f'({option} in flink.configuration), or all of the request in its own '
                       'fields')
    assert host.snapshot() == before


REFUSED = {
    'a target that is empty': (
        {'python.archives': '/a.zip#'}, {}, 'TARGET_INVALID',
        "the target directory of archive '/a.zip' is empty"),
    'an absolute target': (
        {'python.archives': '/a.zip#/x'}, {}, 'TARGET_INVALID',
        "the target directory '/x' of archive '/a.zip' is absolute"),
    'a target that climbs': (
        {'python.internal.archives-key-map': 'k:a.zip#../x'}, {'k': '/blob'}, 'TARGET_INVALID',
        "the target directory '../x' of archive '/blob' climbs out of the working directory"),
    'targets that collide': (
        {'python.archives': '/1/a.zip,/2/a.zip'}, {}, 'TARGET_CONFLICT',
        "the target directories 'a.zip' (archive '/1/a.zip') and 'a.zip' (archive '/2/a.zip') "
        'are equal or one lies in the other'),
    'a relative path': (
        {'python.files': '/a.py, /b.py'}, {}, 'REQUEST_INVALID',
        "python.files ' /b.py' is not absolute: the daemon does not have your working directory"),
    'a path on another host': (
        {'python.requirements': 's3://b/r.txt'}, {}, 'REQUEST_INVALID',
        "python.requirements 's3://b/r.txt' is not on this host: the daemon fetches nothing; name "
        'what Flink has fetched in flink.cached_files'),
    'a file that is not in the cache': (
        {'python.internal.files-key-map': '{k: a.py}'}, {'l': '/blob'}, 'REQUEST_INVALID',
        "python.internal.files-key-map: 'k' is not in flink.cached_files"),
    'a relative path of the cache': (
        {'python.internal.files-key-map': '{k: a.py}'}, {'k': 'blob'}, 'REQUEST_INVALID',
        "flink.cached_files['k'] 'blob' is not absolute: the daemon does not have your working "
        'directory'),
    'a name that is none': (
        {'python.internal.files-key-map': '{k: ../a.py}'}, {'k': '/blob'}, 'REQUEST_INVALID',
        "python file '/blob': the name '../a.py' is not a file name"),
    'a map that is none': (
        {'python.job-options': 'A:1,secret'}, {}, 'REQUEST_INVALID',
        "python.job-options: pair 2: not 'key:value'; what holds a ',' or ':' must be quoted"),
    'braces that are not closed': (
        {'python.job-options': '{A: secret'}, {}, 'REQUEST_INVALID',
        "python.job-options: pair 1: no ',' or '}' follows the value"),
    'a name that no variable has': (
        {'python.job-options': 'A=B:1'}, {}, 'REQUEST_INVALID',
        "variables: 'A=B' is not the name of a variable"),
    'the mode of threads': (
        {'python.execution-mode': 'thread'}, {}, 'REQUEST_INVALID',
        "python.execution-mode 'thread' is not served: only 'process' is"),
    'a truth that is none': (
        {'python.systemenv.enabled': 'off'}, {}, 'REQUEST_INVALID',
        "python.systemenv.enabled 'off' is neither true nor false"),
    'an executable that is empty': (
        {'python.executable': ''}, {}, 'REQUEST_INVALID', 'python.executable is empty'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_is_refused_is_named(host, client, case):
    configuration, cached_files, reason, message = REFUSED[case]
    before = host.snapshot()
    failure = client.fail_to_create(flink=flink(configuration, cached_files))
    assert failure == (INVALID, reason, message)
    assert host.snapshot() == before
    assert 'secret' not in host.log.read_text()


def test_a_configuration_of_any_size_is_answered(client):
    many = {f'k{i}': 'v' for i in range(4097)}
    failure = client.fail_to_create(flink=pb.FlinkConfiguration(configuration=many))
    assert failure == (INVALID, 'REQUEST_INVALID', 'flink: more than 4096 entries of one map')
    long = {'python.job-options': "'" * 3_000_000}
    failure = client.fail_to_create(flink=pb.FlinkConfiguration(configuration=long))
    assert failure.reason == 'REQUEST_INVALID', failure


def test_pyenvctl_reads_a_configuration_file(host, sources, client):
    path = host.directory / 'config.yaml'
    path.write_text(f"""\
jobmanager:
  rpc:
    address: localhost
python.archives: {sources}/venv.zip#venv # comment
python:
  files: /home/me/a.py
  executable: "{sources}/bin/python"
  internal.files-key-map: '{{k: a.py}}'
  job-options:
    A: '1'
""")
    expected = client.create([archive(sources / 'venv.zip', 'venv')], variables={'A': '1'},
                             python=f'{sources}/bin/python',
                             python_files=[pb.PythonFile(path=f'{sources}/a.py')])
    done = host.ctl('--json', 'create', '--flink-conf', path, '--cached-file', 'k=blob_p-2',
                    cwd=sources)
    assert json.loads(done.stdout)['dependency_hash'] == expected.dependency_hash
    path.write_text('python.archives: venv.zip#venv\n')
    done = host.ctl('create', '--flink-conf', path, check=False, cwd=sources)
    assert done.returncode == 1
    assert "python.archives 'venv.zip' is not absolute" in done.stderr
    done = host.ctl('create', '--flink-conf', path, '--env', 'A=1', check=False)
    assert 'variables is given beside flink' in done.stderr
