"""pip and uv themselves, to be run by tests and the bench without pyenvd: what is theirs alone,
of all that is set on this machine for them, is left out."""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
UV = pathlib.Path(sys.executable).with_name('uv')
PATIENCE = 120


def environment(home, retries=0, timeout=20, **more):
    """Variables with which both look at nothing but what their command says."""
    return {'PATH': '/usr/bin:/bin', 'HOME': str(home), 'TMPDIR': str(home), 'LANG': 'C.UTF-8',
            'PIP_CONFIG_FILE': os.devnull, 'PIP_RETRIES': str(retries),
            'PIP_TIMEOUT': str(timeout), 'PIP_DISABLE_PIP_VERSION_CHECK': '1',
            'UV_NO_CONFIG': '1', 'UV_HTTP_RETRIES': str(retries),
            'UV_HTTP_TIMEOUT': str(timeout), **more}


def real_wheels():
    """The directory of what wheels.txt pins. Where nothing may be written they must be there."""
    done = subprocess.run([HERE / 'wheels'], check=True, text=True, stdout=subprocess.PIPE)
    return pathlib.Path(done.stdout.strip())


def pip_command(python, requirements, prefix, *flags):
    return [str(word) for word in (
        python, '-m', 'pip', 'install', '--ignore-installed', '-r', requirements, '--prefix',
        prefix, '--no-cache-dir', '--no-input', '--no-color', '--progress-bar', 'off', *flags)]


def uv_command(python, requirements, prefix, *flags):
    return [str(word) for word in (
        UV, 'pip', 'install', '--python', python, '-r', requirements, '--prefix', prefix,
        '--no-cache', '--link-mode', 'copy', '--no-progress', '--color', 'never', *flags)]


COMMANDS = {'pip': pip_command, 'uv': uv_command}


def offline(directory):
    return ['--no-index', '--find-links', directory]


def online(index):
    return ['--index-url', index.url]


class Installer:
    """One of them, with the Python it installs for, and a directory of its own to work in."""

    def __init__(self, name, python, directory):
        self.name, self.python = name, pathlib.Path(python)
        self.directory = pathlib.Path(directory)
        self.prefix = self.directory / 'prefix'

    def command(self, requirements, *flags):
        """The words to start; requirements is the text of the file."""
        file = self.directory / 'requirements.txt'
        file.write_text(requirements, encoding='utf-8')
        return COMMANDS[self.name](self.python, file, self.prefix, *flags)

    def install(self, requirements, *flags, prefix_words=(), **variables):
        """How it ended; both its outputs are in stdout."""
        return subprocess.run([*prefix_words, *self.command(requirements, *flags)],
                              env=environment(self.directory, **variables), check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
                              cwd=self.directory)

    def site(self):
        """Where modules went."""
        found = {path.parent for name in ('site-packages', 'dist-packages')
                 for path in self.prefix.glob(f'**/{name}/*.dist-info')}
        assert len(found) == 1, found
        return found.pop()
