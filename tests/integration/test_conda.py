"""Environments as conda-pack packs them: finished as conda-unpack would, without running it."""
import pathlib
import re
import subprocess

import archives
import pytest
from host import CTL, archive
from test_scripts import expect_manifest_holds

PYTHON = '/usr/bin/python3'
# What conda builds packages with: 255 bytes, so that there is room.
PADDED = '/opt/anaconda1anaconda2anaconda3'.ljust(255, '_')
BUILD = '/build/machine/env'
LIBRARY = b'\177ELF\0%s/lib\0%s/share:%s/etc\0end'
SCRIPT = '''#!{0}/bin/python
import sys
with open('{0}/etc/tool.conf') as config:
    print(sys.argv[1], config.read())
'''
FILE, PROGRAM, LINK = 0o100644, 0o100755, 0o120777


def conda_unpack(proof, *records):
    """Its form, with a program that must not run."""
    lines = ',\n'.join(repr(record) for record in records)
    return (f'#!/usr/bin/env python\nopen({str(proof)!r}, "w")\n\n'
            f'_prefix_records = [\n{lines}\n]\n\nif __name__ == "__main__":\n    pass\n')


def filled(prefix):
    return LIBRARY.replace(b'%s', prefix.encode())


def entries(proof):
    return [
        ('conda-meta/history', FILE, ''),
        ('bin/python', LINK, PYTHON),
        ('bin/tool', PROGRAM, SCRIPT.format(PADDED)),
        ('etc/tool.conf', FILE, f'prefix={BUILD}'),
        ('lib/libtool.so', PROGRAM, filled(PADDED)),
        ('lib/short.so', PROGRAM, filled('/b')),
        ('bin/conda-unpack', PROGRAM, conda_unpack(
            proof, ('bin/tool', PADDED, 'text'), ('etc/tool.conf', BUILD, 'text'),
            ('lib/libtool.so', PADDED, 'binary'), ('lib/short.so', '/b', 'binary'),
            ('../../manifest', 'pyenvd', 'text'))),
    ]


def make_tar(path, rows):
    rows = [(name, archives.LINK if mode == LINK else archives.FILE, data, mode & 0o777)
            for name, mode, data in rows]
    return archives.make_tar(path, rows, mode='w:gz')


@pytest.mark.parametrize('make, name', [(archives.make_zip, 'env.zip'), (make_tar, 'env.tar.gz')])
def test_an_environment_is_finished_where_it_is(host, client, make, name):
    proof = host.directory / 'run' / 'proof'
    source = make(host.sources / name, entries(proof))
    tree = pathlib.Path(client.create([archive(source, 'e')]).layers[0].directory)
    done = subprocess.run([str(CTL), '--socket', str(host.socket), 'run', '--archive',
                           f'{source}#e', '--python', 'e/bin/python', '--', 'tool', 'a b'],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f'a b prefix={tree}\n'

    library = (tree / 'lib' / 'libtool.so').read_bytes()
    lost = 255 - len(str(tree))
    path = str(tree).encode()
    assert library == (b'\177ELF\0' + path + b'/lib\0' + bytes(lost) +
                       path + b'/share:' + path + b'/etc\0' + bytes(2 * lost) + b'end')
    # No room: left as it was, and told of.
    assert (tree / 'lib' / 'short.so').read_bytes() == filled('/b')
    assert re.search('layer-note .*lib/short.so. has no room', host.log.read_text())

    assert expect_manifest_holds(tree) == 6
    assert not proof.exists()
