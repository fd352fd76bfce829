"""Writes a wheel, byte for byte the same each time. Stands on nothing but Python: it is also
what the sdists of packages.py carry with them as a part of their build backend.
"""
import base64
import hashlib
import os
import zipfile

STAMP = (2023, 11, 14, 22, 13, 20)
PURE = 'py3-none-any'


def plain(name):
    """A project's name as it is in file names."""
    return name.replace('-', '_')


def metadata(name, version, requires=(), requires_python=''):
    lines = ['Metadata-Version: 2.1', f'Name: {name}', f'Version: {version}']
    if requires_python:
        lines.append(f'Requires-Python: {requires_python}')
    lines += [f'Requires-Dist: {requirement}' for requirement in requires]
    return '\n'.join(lines) + '\n'


def digest(data):
    digits = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=')
    return 'sha256=' + digits.decode()


def record_of(files, info):
    lines = [f'{name},{digest(data)},{len(data)}' for name, (data, _) in files.items()]
    return '\n'.join([*lines, f'{info}/RECORD,,']) + '\n'


def write(directory, name, version='1.0', files=None, scripts=None, requires=(),
          requires_python='', tag=PURE, pure=True, record=None, modes=None):
    """Makes a wheel in the directory, and returns its file name.

    files: content by name; "NAME-VERSION.data/…" is for data, scripts, headers and platlib.
    scripts: "module:function" by the name of a console script. modes: a member's whole
    Unix mode with its type bits, by its name. record: the text of RECORD, if not the true one.
    """
    info = f'{plain(name)}-{version}.dist-info'
    members = {}

    def add(member, text):
        data = text.encode() if isinstance(text, str) else text
        members[member] = (data, (modes or {}).get(member, 0o100644))
    for member, text in (files or {}).items():
        add(member, text)
    add(f'{info}/METADATA', metadata(name, version, requires, requires_python))
    add(f'{info}/WHEEL', 'Wheel-Version: 1.0\nGenerator: wheel_writer\n'
        f'Root-Is-Purelib: {"true" if pure else "false"}\nTag: {tag}\n')
    if scripts:
        lines = [f'{script} = {target}' for script, target in scripts.items()]
        add(f'{info}/entry_points.txt', '\n'.join(['[console_scripts]', *lines]) + '\n')
    add(f'{info}/RECORD', record if record is not None else record_of(members, info))

    wheel = f'{plain(name)}-{version}-{tag}.whl'
    with zipfile.ZipFile(os.path.join(directory, wheel), 'w', zipfile.ZIP_DEFLATED) as file:
        for member, (data, mode) in members.items():
            entry = zipfile.ZipInfo(member, STAMP)
            entry.create_system = 3
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, data)
    os.chmod(os.path.join(directory, wheel), 0o644)
    return wheel
