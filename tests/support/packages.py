"""Wheels and sdists for tests: small, made without network, byte for byte the same each time.

An sdist builds itself: its backend is in its own tree (PEP 517, backend-path) and asks for
nothing else. Those of hostile_sdist() do harm when they are built: what they do, and how a
test learns of it, is in hostile_backend.py.
"""
import collections
import gzip
import io
import pathlib
import shutil
import sysconfig
import tarfile

import wheel_writer

HERE = pathlib.Path(__file__).resolve().parent
STAMP = 1_700_000_000
Report = collections.namedtuple('Report', 'deed what outcome')
PLATFORM = 'py3-none-' + sysconfig.get_platform().replace('-', '_').replace('.', '_')

BACKEND = '''\
import wheel_writer


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    return wheel_writer.write(wheel_directory, **WHEEL)
'''


def greeting(name, version):
    """A module that says which it is."""
    return f"""VERSION = {version!r}


def main():
    print({name!r}, VERSION)
"""


def contents(name, version):
    """The keywords of a wheel that has a module of its name, and a console script too."""
    module = wheel_writer.plain(name)
    return {'name': name, 'version': version,
            'files': {f'{module}/__init__.py': greeting(name, version)},
            'scripts': {name: f'{module}:main'}}


def wheel(directory, name, version='1.0', **fields):
    """A wheel; the fields are wheel_writer.write()'s and win over contents()."""
    directory = pathlib.Path(directory)
    return directory / wheel_writer.write(directory, **{**contents(name, version), **fields})


def platform_wheel(directory, name, version='1.0', **fields):
    """One for this platform alone, which goes to platlib, with a part that goes to purelib."""
    module = wheel_writer.plain(name)
    files = {f'{module}/__init__.py': greeting(name, version),
             f'{module}-{version}.data/purelib/{module}_pure.py': 'PURE = True\n'}
    return wheel(directory, name, version, tag=PLATFORM, pure=False, **{'files': files, **fields})


def data_wheel(directory, name, version='1.0'):
    """One with all else that a wheel may bring: data, a script, a header, package data."""
    module = wheel_writer.plain(name)
    top = f'{module}-{version}.data'
    files = {f'{module}/__init__.py': greeting(name, version),
             f'{module}/table.csv': 'one,two\n1,2\n',
             f'{top}/data/share/{module}/notes.txt': 'notes\n',
             f'{top}/headers/{module}.h': '#define ANSWER 42\n',
             f'{top}/scripts/{module}-script': f'#!python\nimport {module}\n{module}.main()\n'}
    return wheel(directory, name, version, files=files,
                 modes={f'{top}/scripts/{module}-script': 0o100755})


def sdist(directory, name, version='1.0', backend=BACKEND, build_requires=(), files=None,
          fields=None):
    """One with a backend of its own, which makes the wheel that contents() and fields say.

    files: more files, by their name in the tree; names are taken as they are.
    """
    described = {**contents(name, version), **(fields or {})}
    members = {
        'PKG-INFO': wheel_writer.metadata(name, version, described.get('requires', ()),
                                          described.get('requires_python', '')),
        'pyproject.toml': '[build-system]\n'
                          f'requires = {list(build_requires)!r}\n'
                          'build-backend = "backend"\nbackend-path = ["."]\n',
        'wheel_writer.py': (HERE / 'wheel_writer.py').read_text(encoding='utf-8'),
        'backend.py': f'{backend}\n\nWHEEL = {described!r}\n',
        **(files or {}),
    }
    return write_sdist(directory, name, version, members)


def setuptools_sdist(directory, name, version='1.0'):
    """One as most are: built by setuptools and wheel, which it asks the installer for."""
    module = wheel_writer.plain(name)
    members = {
        'PKG-INFO': wheel_writer.metadata(name, version),
        'pyproject.toml': '[build-system]\nrequires = ["setuptools", "wheel"]\n'
                          'build-backend = "setuptools.build_meta"\n',
        'setup.py': 'from setuptools import setup\n'
                    f'setup(name={name!r}, version={version!r}, py_modules=[{module!r}],\n'
                    f"      entry_points={{'console_scripts': ['{name} = {module}:main']}})\n",
        f'{module}.py': greeting(name, version),
    }
    return write_sdist(directory, name, version, members)


def write_sdist(directory, name, version, members):
    top = f'{wheel_writer.plain(name)}-{version}'
    path = pathlib.Path(directory) / f'{top}.tar.gz'
    with open(path, 'wb') as file, \
            gzip.GzipFile(fileobj=file, mode='wb', filename='', mtime=STAMP) as packed, \
            tarfile.open(fileobj=packed, mode='w', format=tarfile.PAX_FORMAT) as tar:
        for member, text in members.items():
            info = tarfile.TarInfo(f'{top}/{member}')
            data = text.encode() if isinstance(text, str) else text
            info.size, info.mtime, info.mode = len(data), STAMP, 0o644
            tar.addfile(info, io.BytesIO(data))
    path.chmod(0o644)
    return path


# ---- an sdist that does harm

def hostile_sdist(directory, deed, then='build', name=None, **plan):
    """One whose build does a deed of hostile_backend.DEEDS, and then either gives a wheel
    ("build") or fails ("fail"). Its name, if none is said, is "hostile-DEED".

    The plan, each empty or as below if not said: places and files (absolute paths to write in,
    and to read or spoil), tcp and udp (pairs of host and port), unix (paths; "@…" is an abstract
    one), names (to look up), count (of processes), bytes (to print or write).
    """
    name = name or f'hostile-{deed}'
    plan = {'deed': deed, 'then': then, 'places': [], 'files': [], 'tcp': [], 'udp': [],
            'unix': [], 'names': [], 'count': 200, 'bytes': 1 << 30, **plan}
    for key in 'places', 'files', 'unix':
        plan[key] = [str(path) for path in plan[key]]
    backend = (HERE / 'hostile_backend.py').read_text(encoding='utf-8')
    return sdist(directory, name, backend=f'{backend}\n\n'
                 f'MARKER = {marker_of(name)!r}\nPLAN = {plan!r}')


def marker_of(name):
    """What is in the names of files, and in the command lines of processes, that it leaves."""
    return f'mark-of-{name}'


def reports_in(text):
    """What a hostile build said it managed. One that refused to run would prove nothing."""
    found = []
    for line in text.splitlines():
        words = line.strip().split(' ', 3)
        if words[0] == 'HOSTILE' and len(words) == 4:
            found.append(Report(*words[1:]))
    refused = [report.outcome for report in found if report.what == 'refused']
    assert not refused, f'the build did nothing: {refused}'
    return found


def processes_of(name):
    """Pids of what a hostile sdist of that name left running."""
    marker = marker_of(name).encode()
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if marker in path.read_bytes().split(b'\0'):
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def files_of(name, *directories):
    """Paths below the directories that a hostile sdist of that name left there."""
    marker = marker_of(name)
    return [path for directory in directories for path in pathlib.Path(directory).rglob('*')
            if path.name.startswith(marker)]


# ---- wheels that lie or climb

def lying_wheel(directory, name, version='1.0'):
    """Its RECORD has a wrong digest, a file that is not there, and not the one that is."""
    module = wheel_writer.plain(name)
    record = (f'{module}/__init__.py,sha256=AAAA,3\n{module}/missing.py,,\n'
              f'../../../../{module}-lie,,\n{module}-{version}.dist-info/RECORD,,\n')
    return wheel(directory, name, version, record=record)


def wheel_with(directory, name, member, text='', version='1.0', mode=0o100644):
    """A wheel with one more member, whose name is taken as it is."""
    described = contents(name, version)
    described['files'][member] = text
    return wheel(directory, name, version, files=described['files'], modes={member: mode})


# ---- sets of them

def sample(directory):
    """What most tests need, in one directory of packages:

    alpha 1.0, 1.1 and 2.0; beta 1.0, which needs alpha < 2; gamma 1.0, which needs alpha >= 2
    (so beta and gamma exclude each other); delta 1.0, for this platform; epsilon 1.0, with
    data, a header and a script; future 1.0, for a Python that is yet to come; zeta 1.0, an sdist.
    """
    directory = pathlib.Path(directory)
    directory.mkdir(mode=0o755, exist_ok=True)
    return [
        *(wheel(directory, 'alpha', version) for version in ('1.0', '1.1', '2.0')),
        wheel(directory, 'beta', requires=['alpha<2']),
        wheel(directory, 'gamma', requires=['alpha>=2']),
        platform_wheel(directory, 'delta'),
        data_wheel(directory, 'epsilon'),
        wheel(directory, 'future', requires_python='>=3.99'),
        sdist(directory, 'zeta'),
    ]


def add_build_tools(directory, wheels):
    """Copies setuptools and wheel, and what they need, out of a directory of real wheels."""
    found = [path for path in pathlib.Path(wheels).glob('*.whl')
             if path.name.split('-')[0] in ('setuptools', 'wheel', 'packaging')]
    assert len(found) == 3, found
    return [pathlib.Path(shutil.copy(path, directory)) for path in found]
