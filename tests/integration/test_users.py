"""Several users: root, ordinary ones with the system's daemon, one with a daemon of their own."""
import json
import os
import pathlib
import stat
import subprocess

import pytest
from archives import make_sample
from host import IS_ROOT, Host, archive, wait_for

pytestmark = pytest.mark.skipif(not IS_ROOT, reason='asks for root: other users')
USER, OTHER = 65534, 65533


def create_as(host, uid, source):
    done = host.ctl_as_user('--json', 'create', '--archive', f'{source}#a', uid=uid)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def may_read(uid, path):
    return subprocess.run(['setpriv', f'--reuid={uid}', '--regid=65533', '--clear-groups', 'cat',
                           str(path)], capture_output=True, check=False).returncode == 0


def test_the_daemon_is_not_root(host):
    status = pathlib.Path(f'/proc/{host.pid}/status').read_text()
    fields = dict(line.split(':\t', 1) for line in status.splitlines() if ':\t' in line)
    assert '0' not in fields['Uid'].split() and '0' not in fields['Gid'].split()
    effective, permitted = (int(fields[name], 16) for name in ('CapEff', 'CapPrm'))
    chown, override, search, setgid, setuid = (1 << bit for bit in (0, 1, 2, 6, 7))
    assert effective == chown | setgid | setuid
    assert permitted == effective | override | search


def test_a_lease_belongs_to_its_user_alone(host, client):
    source = make_sample(host.sources / 'a.zip')
    response = create_as(host, USER, source)
    for path in (response['base_directory'], response['working_directory']):
        found = os.stat(path)
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (USER, 0o700)
    file = pathlib.Path(response['working_directory'], 'a/d1/f1.txt')
    assert may_read(USER, file) and not may_read(OTHER, file)
    layer = pathlib.Path(response['layers'][0]['directory'], 'd1/f1.txt')
    assert may_read(USER, layer) and not may_read(OTHER, layer)
    assert layer.stat().st_uid not in (0, USER)
    assert client.release(response['lease_id'])
    host.expect_tidy(client)


def test_users_do_not_share_layers_unless_told_so(host, client):
    source = make_sample(host.sources / 'a.zip')
    one, two = create_as(host, USER, source), create_as(host, OTHER, source)
    assert one['layers'][0]['layer_id'] != two['layers'][0]['layer_id']
    assert one['dependency_hash'] == two['dependency_hash']
    assert client.status().counters.layers_made == 2


def test_users_share_layers_if_told_so():
    with Host('--sharing', 'all') as host:
        source = make_sample(host.sources / 'a.zip')
        one, two = create_as(host, USER, source), create_as(host, OTHER, source)
        assert one['layers'][0]['layer_id'] == two['layers'][0]['layer_id']
        file = pathlib.Path(one['layers'][0]['directory'], 'd1/f1.txt')
        assert may_read(USER, file) and may_read(OTHER, file)
        assert host.connect().status().counters.layers_made == 1


def test_a_user_sees_what_is_theirs(host, client):
    source = make_sample(host.sources / 'a.zip')
    client.create([archive(source, 'a')])
    mine = create_as(host, USER, source)
    listed = json.loads(host.ctl_as_user('--json', 'list', 'leases', uid=USER).stdout)
    assert [lease['lease_id'] for lease in listed['leases']] == [mine['lease_id']]
    listed = json.loads(host.ctl_as_user('--json', 'list', 'layers', uid=OTHER).stdout)
    assert listed['layers'] == []
    assert len(client.leases()) == 2
    refused = host.ctl_as_user('collect', uid=USER)
    assert refused.returncode == 1 and 'administrators' in refused.stderr


def test_what_a_task_leaves_behind_goes_with_its_lease(host, client):
    source = make_sample(host.sources / 'a.zip')
    response = create_as(host, USER, source)
    program = ('mkdir -p deep/er; echo x >deep/er/f; chmod 0 deep/er deep; ln -s / out; '
               'mkfifo pipe; mkdir "$(printf "new\\nline")"')
    subprocess.run(['setpriv', f'--reuid={USER}', '--regid=65533', '--clear-groups', 'sh', '-c',
                    program], check=True, cwd=response['working_directory'])
    assert client.release(response['lease_id'])
    wait_for(lambda: not os.path.exists(response['base_directory']), 'the lease to be removed')
    assert os.path.exists('/usr/bin')
    host.expect_tidy(client)


def test_a_daemon_of_ones_own():
    with Host(uid=USER) as host:
        source = make_sample(host.sources / 'a.zip')
        own = ['setpriv', f'--reuid={USER}', f'--regid={USER}', '--clear-groups']
        ctl = [str(host.command()[4]).replace('daemon/pyenvd', 'client/pyenvctl'), '--socket',
               str(host.socket)]
        done = subprocess.run([*own, *ctl, '--json', 'create', '--archive', f'{source}#a'],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        response = json.loads(done.stdout)
        assert os.stat(response['base_directory']).st_uid == USER
        assert pathlib.Path(response['working_directory'], 'a/d1/f1.txt').exists()
        # Even root is served by the system's daemon, and not by this one.
        refused = subprocess.run([*ctl, 'status'], capture_output=True, text=True, check=False)
        assert refused.returncode == 1 and str(USER) in refused.stderr
        done = subprocess.run([*own, *ctl, 'release', response['lease_id']], check=False)
        assert done.returncode == 0
        wait_for(lambda: not os.listdir(host.state / 'leases'), 'the lease to be removed')
