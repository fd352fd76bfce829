"""Archives for tests, good ones and others."""
import io
import tarfile
import zipfile

FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
DIRECTORY, FIFO, DEVICE = tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE


def make_tar(path, entries, mode='w', mtime=1_700_000_000):
    """entries: (name, kind, content of a file or target of a link[, mode])."""
    with tarfile.open(path, mode) as tar:
        for name, kind, data, *rest in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mtime = mtime
            info.mode = rest[0] if rest else (0o755 if kind == DIRECTORY else 0o644)
            if kind == FILE:
                data = data.encode() if isinstance(data, str) else data
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                info.linkname = data or ''
                tar.addfile(info)
    path.chmod(0o644)
    return path


def make_zip(path, entries, compression=zipfile.ZIP_DEFLATED):
    """entries: (name, Unix mode with its type bits or 0 for none, content)."""
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for name, mode, data in entries:
            info = zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20))
            info.create_system = 3 if mode else 0
            info.external_attr = mode << 16
            info.compress_type = compression
            archive.writestr(info, data)
    path.chmod(0o644)
    return path


def make_sample(path, files=20, size=2000, salt=''):
    """A zip with some content of its own."""
    return make_zip(path, [(f'd{i % 3}/f{i}.txt', 0o100644, f'{salt}{i}\n' * (size // 4))
                           for i in range(files)])
