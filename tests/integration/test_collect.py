"""Layers that nobody uses go, the least recently used first; others never."""
import json

from archives import make_sample
from host import Host, archive, wait_for


def make(host, client, name, keep=False):
    """A layer of about 40 kB; its id, and the lease's."""
    source = host.sources / f'{name}.zip'
    if not source.exists():
        make_sample(source, salt=name)
    response = client.create([archive(source, 'a')])
    if not keep:
        assert client.release(response.lease_id)
    return response.layers[0].layer_id, response.lease_id


def ids(client):
    return {layer.layer_id for layer in client.layers()}


def test_collect_removes_what_is_idle_in_the_order_of_use(host, client):
    one, _ = make(host, client, 'one')
    two, _ = make(host, client, 'two')
    used, lease = make(host, client, 'used', keep=True)
    assert make(host, client, 'one')[0] == one  # used again: the last now
    dry = client.collect(dry_run=True)
    assert [layer.layer_id for layer in dry.layers] == [two, one]
    assert ids(client) == {one, two, used}
    done = client.collect()
    assert [layer.layer_id for layer in done.layers] == [two, one]
    assert done.freed_bytes == dry.freed_bytes and done.kept_bytes == dry.kept_bytes > 0
    wait_for(lambda: ids(client) == {used}, 'the layers to be removed')
    host.expect_tidy(client)
    assert client.release(lease)


def test_collect_stops_at_a_size(host, client):
    made = [make(host, client, name)[0] for name in 'abcd']
    size = client.layers()[0].size_bytes
    client.collect(max_bytes=2 * size + 100)
    wait_for(lambda: ids(client) == set(made[2:]), 'two layers to be removed')


def test_collect_spares_what_was_used_lately(host, client):
    kept, _ = make(host, client, 'a')
    assert not client.collect(idle_seconds=3600).layers
    assert ids(client) == {kept}


def test_an_environment_goes_with_its_layer_and_comes_again(host, client):
    first, _ = make(host, client, 'a')
    assert client.status().environments == 1
    client.collect()
    wait_for(lambda: not ids(client), 'the layer to be removed')
    assert client.status().environments == 0
    again, _ = make(host, client, 'a')
    assert again != first


def test_the_limit_is_kept_by_itself():
    with Host('--max-bytes', '120K') as host:
        client = host.connect()
        made = [make(host, client, name)[0] for name in 'abcdefgh']
        wait_for(lambda: client.status().layer_bytes <= 120 * 1024, 'layers to be removed')
        assert made[-1] in ids(client) and made[0] not in ids(client)
        host.expect_tidy(client)


def test_a_limit_below_what_is_leased_is_reported_not_thrashed():
    with Host('--max-bytes', '10K') as host:
        client = host.connect()
        layer, _ = make(host, client, 'a', keep=True)
        status = client.status()
        assert status.leased_bytes > status.max_bytes == 10 * 1024
        assert ids(client) == {layer}
        assert make(host, client, 'a')[0] == layer


def test_pyenvctl_collects(host, client):
    make(host, client, 'a')
    dry = json.loads(host.ctl('--json', 'collect', '--dry-run').stdout)
    assert len(dry['layers']) == 1 and len(ids(client)) == 1
    host.ctl('collect')
    wait_for(lambda: not ids(client), 'the layer to be removed')
