"""usage: inputs.py CLIENT OUTPUT

Makes what the Flink job of these tests needs, once: a virtual environment as an archive, which
has of the client's packages what a Python worker imports; a model; a Python file; requirements
with a directory of packages. The greatest parts that no worker asks for are left out.
"""
import os
import pathlib
import re
import sys
import tarfile
import zipfile

import packages

WEIGHTS = [3, 2, 1]
WORDS = """WORDS = 'zero one two three four five six seven eight nine'.split()


def spell(number):
    return '-'.join(WORDS[int(digit)] for digit in str(number))
"""
VERSION = '4.2'
# Of the packages. Flink's jars, what is there for tests, and to compile with; of Arrow
# what nobody imports.
LEFT_OUT = re.compile(
    r'pyflink/(lib|opt|plugins|examples|licenses|log|conf|bin/bash-java-utils\.jar)(/|$)'
    r'|(pandas|numpy|apache_beam)/(.*/)?tests?(/|$)|pyarrow/(include|src|tests)(/|$)'
    r'|pyarrow/lib(arrow_flight|arrow_substrait)\.|pyarrow/libarrow_python_flight'
    r'|.*_test(\.cpython-[0-9]*)?\.pyc?$|pemja|.*\.(pxd|pyx|hpp|h|a)$')


def spell(number):
    names = {}
    exec(WORDS, names)
    return names['spell'](number)


def expected(count):
    """The lines that the Flink job is to give, sorted."""
    a, b, c = WEIGHTS
    return sorted(f'{n} {a * n + b * n * n + c} {spell(n)} {VERSION}' for n in range(count))


def write_venv(client, path):
    site, = client.glob('lib/python3*/site-packages')

    def keep(member):
        member.uid = member.gid = 0
        member.uname = member.gname = ''
        name = os.path.relpath(member.name, site.relative_to(client))
        return None if LEFT_OUT.match(name) else member
    with tarfile.open(path, 'w:gz', compresslevel=1) as tar:
        tar.add(client / 'pyvenv.cfg', 'pyvenv.cfg')
        for name in 'python', 'python3':
            tar.add(client / 'bin' / name, f'bin/{name}')
        tar.add(site, str(site.relative_to(client)), filter=keep)


def write(client, output):
    output.mkdir(parents=True, exist_ok=True)
    write_venv(client, output / 'venv.tgz')
    with zipfile.ZipFile(output / 'model.zip', 'w') as file:
        file.writestr('weights.json', str(WEIGHTS))
    (output / 'words.py').write_text(WORDS, encoding='utf-8')
    (output / 'packages').mkdir(exist_ok=True)
    packages.wheel(output / 'packages', 'greeting', VERSION)
    (output / 'requirements.txt').write_text(f'greeting=={VERSION}\n', encoding='utf-8')


if __name__ == '__main__':
    write(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
