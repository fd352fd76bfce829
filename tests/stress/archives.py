"""python archives.py DIRECTORY: one tree as stress.zip and as stress.tar.gz, 600 files."""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'support'))
# pylint: disable=wrong-import-position
from archives import FILE, make_tar, make_zip


def main():
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    content = random.Random(5)
    files = []
    for i in range(600):
        size = content.choice([0, 100, 5000, 70_000] + [1_500_000] * (i % 200 == 0))
        data = content.randbytes(size // 2) + bytes(size - size // 2)
        files.append((f'd{i % 9}/e{i % 4}/f{i}', data))
        if i % 10 == 0:
            files[-1] = (f'd{i % 9}/m{i}.py', b'def f():\n    return %d\n' % i)
    make_zip(directory / 'stress.zip', [(name, 0o100644, data) for name, data in files])
    make_tar(directory / 'stress.tar.gz', [(name, FILE, data) for name, data in files], 'w:gz')


if __name__ == '__main__':
    main()
