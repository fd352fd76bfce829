#!/usr/bin/env python3
"""Writes the archives that the worker's tests read: good ones, each with a file
NAME.expected that says what must come out of it, and bad ones, that must be refused.

    worker-archives.py DIRECTORY STAMP

One line of an .expected file, sorted by name, tabs between:

    name  f  mode  mtime  size  sha256
    name  d  mode  mtime
    name  l  target  mtime
"""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile

TIME = 1700000001  # odd: what DOS time cannot say


class Entry:
    def __init__(self, name, data=b"", mode=0o644, mtime=TIME, link=None, directory=False):
        self.name, self.data, self.mode, self.mtime = name, data, mode, mtime
        self.link, self.directory = link, directory


def noise(size, seed):
    """Bytes that hardly compress, the same every time."""
    out = b""
    while len(out) < size:
        out += hashlib.sha256(b"%d %d" % (seed, len(out))).digest()
    return out[:size]


def directory(name, mtime=TIME):
    return Entry(name, directory=True, mode=0o755, mtime=mtime)


TREE = [
    directory("bin"),
    directory("lib"),
    directory("lib/pkg", TIME + 2),
    Entry("bin/run", b"#!/bin/sh\nexit 0\n", mode=0o755),
    Entry("bin/python", link="/usr/bin/python3"),
    Entry("lib/empty", b""),
    Entry("lib/pkg/__init__.py", b"x = 1\n", mtime=TIME + 7),
    Entry("lib/pkg/set-id", b"#!/bin/sh\n", mode=0o6755),
    Entry("lib/pkg/small.bin", noise(3000, 1)),
    Entry("lib/pkg/medium.txt", b"all work and no play\n" * 20000),
    Entry("lib/pkg/large.txt", b"makes jack a dull boy\n" * 60000 + noise(900000, 2)),
    Entry("lib/up", link="../bin/run"),
    Entry("lib/name with spaces # = \\ and \u00e4", b"y"),
    Entry("top.txt", b"top\n", mode=0o600),
]


def expected_line(entry):
    name = entry.name if isinstance(entry.name, bytes) else entry.name.encode()
    if entry.directory:
        rest = "d\t555\t%d" % entry.mtime
    elif entry.link is not None:
        rest = "l\t%s\t%d" % (entry.link, entry.mtime)
    else:
        mode = "555" if entry.mode & 0o111 else "444"
        digest = hashlib.sha256(entry.data).hexdigest()
        rest = "f\t%s\t%d\t%d\t%s" % (mode, entry.mtime, len(entry.data), digest)
    return name + b"\t" + rest.encode() + b"\n"


def expect(out, name, entries):
    lines = {}
    for entry in entries:
        line = expected_line(entry)
        lines[line.split(b"\t")[0]] = line
    with open(os.path.join(out, name + ".expected"), "wb") as file:
        file.write(b"".join(lines[key] for key in sorted(lines)))


# ---- zip


def zip_info(entry, unix=True, times=True):
    info = zipfile.ZipInfo(entry.name + ("/" if entry.directory else ""), (2023, 11, 14, 22, 13, 20))
    info.create_system = 3 if unix else 0
    kind = stat.S_IFDIR if entry.directory else stat.S_IFLNK if entry.link else stat.S_IFREG
    info.external_attr = (kind | entry.mode) << 16 if unix else 0
    info.compress_type = zipfile.ZIP_DEFLATED
    if times:
        info.extra = struct.pack("<HHBi", 0x5455, 5, 1, entry.mtime)
    return info


def write_zip(path, entries, methods=(), **options):
    with zipfile.ZipFile(path, "w") as archive:
        for i, entry in enumerate(entries):
            info = zip_info(entry, **options)
            if methods and not entry.directory and not entry.link:
                info.compress_type = methods[i % len(methods)]
            data = entry.link.encode() if entry.link else entry.data
            archive.writestr(info, data)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def good_zips(out):
    path = lambda name: os.path.join(out, name)
    write_zip(path("plain.zip"), TREE)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    write_zip(path("methods.zip"), TREE, methods)
    write(path("prepended.zip"), b"#!/bin/sh\nexec unzip\n" + b"\0" * 300 + read(path("plain.zip")))
    write_zip(path("twice.zip"), TREE + [TREE[8], TREE[0]])
    with zipfile.ZipFile(path("zip64.zip"), "w") as archive:
        for entry in TREE:
            with archive.open(zip_info(entry), "w", force_zip64=True) as file:
                file.write(entry.link.encode() if entry.link else entry.data)
    for name in ("plain", "methods", "prepended", "twice", "zip64"):
        expect(out, name + ".zip", TREE)
    plain = [directory("bin"), directory("lib"), Entry("bin/tool", b"tool", mode=0o755),
             Entry("script", b"#!/bin/sh\n", mode=0o755),
             Entry("lib/a.so", b"\x7fELF...", mode=0o755), Entry("lib/a.txt", b"text")]
    write_zip(path("modeless.zip"), plain, unix=False)
    expect(out, "modeless.zip", plain)


# ---- tar


def tar_info(entry):
    info = tarfile.TarInfo(entry.name)
    info.mode, info.mtime, info.size = entry.mode, entry.mtime, 0
    if entry.directory:
        info.type = tarfile.DIRTYPE
    elif entry.link:
        info.type, info.linkname = tarfile.SYMTYPE, entry.link
    else:
        info.size = len(entry.data)
    return info


def tar_bytes(entries, format=tarfile.GNU_FORMAT, extra=(), **options):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, **options) as archive:
        for entry in entries:
            archive.addfile(tar_info(entry), io.BytesIO(entry.data))
        for info, data in extra:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def special(name, type, linkname="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mtime, info.size = type, linkname, TIME, size
    return info


def good_tars(out):
    path = lambda name: os.path.join(out, name)
    plain = tar_bytes(TREE)
    write(path("plain.tar"), plain)
    write(path("pax.tar"), tar_bytes(TREE, tarfile.PAX_FORMAT))
    write(path("dotted.tar"), tar_bytes([directory(".")] + [
        Entry("./" + e.name, e.data, e.mode, e.mtime, e.link, e.directory) for e in TREE]))
    write(path("plain.tar.gz"), gzip.compress(plain))
    third = len(plain) // 3
    write(path("members.tar.gz"), b"".join(
        gzip.compress(part) for part in (plain[:third], plain[third:third + 1], plain[third + 1:])))
    write(path("zeros.tar.gz"), gzip.compress(plain) + b"\0" * 512)
    write(path("plain.tar.bz2"), bz2.compress(plain))
    write(path("plain.tar.xz"), lzma.compress(plain))
    names = ["plain.tar", "pax.tar", "dotted.tar", "plain.tar.gz", "members.tar.gz", "zeros.tar.gz",
             "plain.tar.bz2", "plain.tar.xz"]
    if shutil.which("zstd"):
        write(path("plain.tar.zst"), subprocess.run(
            ["zstd", "-qc"], input=plain, stdout=subprocess.PIPE, check=True).stdout)
        names.append("plain.tar.zst")
    for name in names:
        expect(out, name, TREE)


def odd_tars(out):
    path = lambda name: os.path.join(out, name)

    def both(name, entries, format=tarfile.GNU_FORMAT, **options):
        write(path(name), tar_bytes(entries, format, **options))
        expect(out, name, entries)

    long = [directory("d" * 120), Entry("d" * 120 + "/" + "f" * 200, b"long"),
            Entry("link", link="t" * 300)]
    both("long-gnu.tar", long)
    both("long-pax.tar", long, tarfile.PAX_FORMAT)
    # Two ways to write the same letter: neither may become the other.
    both("unicode.tar", [Entry("e\u0301", b"1"), Entry("\u00e9", b"2")], tarfile.PAX_FORMAT)
    latin = [Entry("caf\udce9", b"bytes")]
    write(path("latin.tar"), tar_bytes(latin, encoding="utf-8", errors="surrogateescape"))
    expect(out, "latin.tar", [Entry(b"caf\xe9", b"bytes")])

    first, second = Entry("a", b"shared"), Entry("z/b", b"shared")
    write(path("hardlink.tar"), tar_bytes([first, directory("z")], extra=[
        (special("z/b", tarfile.LNKTYPE, "a"), b""), (special("c", tarfile.LNKTYPE, "./z/b"), b"")]))
    expect(out, "hardlink.tar", [first, directory("z"), second, Entry("c", b"shared")])

    # A tar that ends in a zip is a tar.
    inner = read(path("plain.zip"))
    both("zip-inside.tar", [Entry("inner.zip", inner[-2000:])])
    sparse(out)


def sparse(out):
    if not shutil.which("tar"):
        return
    data = b"begin" + b"\0" * 3000000 + b"middle" + b"\0" * 2000000
    work = os.path.join(out, "sparse-work")
    os.makedirs(work, exist_ok=True)
    with open(os.path.join(work, "holes"), "wb") as file:
        file.write(b"begin")
        file.seek(5 + 3000000)
        file.write(b"middle")
        file.truncate(len(data))
    os.utime(os.path.join(work, "holes"), (TIME, TIME))
    for name, options in (("sparse-gnu.tar", ["--format=gnu"]),
                          ("sparse-pax.tar", ["--format=pax", "--sparse-version=1.0"])):
        subprocess.run(["tar", "--sparse", *options, "--mode=0644", "-C", work, "-cf",
                        os.path.join(out, name), "holes"], check=True)
        expect(out, name, [Entry("holes", data)])
    shutil.rmtree(work)


# ---- what is refused


def bad_names(out):
    """The same in both formats, as far as both can say it."""
    cases = {
        "absolute": [Entry("/etc/evil", b"x")],
        "dotdot": [Entry("a/../../evil", b"x")],
        "dotdot-inside": [directory("a"), Entry("a/../b", b"x")],
        "beneath-link": [Entry("out", link="/tmp"), Entry("out/evil", b"x")],
        "link-over-directory": [directory("d"), Entry("d/f", b"x"), Entry("d", link="/tmp")],
        "directory-over-link": [Entry("d", link="/tmp"), directory("d")],
        "file-over-directory": [directory("d"), Entry("d", b"x")],
        "beneath-file": [Entry("d", b"x"), Entry("d/f", b"y")],
        "different-twice": [Entry("f", b"x"), Entry("./f", b"y")],
        "links-twice": [Entry("f", link="a"), Entry("f", link="b")],
        "long-component": [Entry("n" * 256, b"x")],
        "very-long-name": [Entry("/".join(["d" * 100] * 50), b"x")],
        "deep": [Entry("/".join(["d"] * 80), b"x")],
        "many": [Entry("f%d" % i, b"") for i in range(1200)],
        "whole-tree": [Entry("./", link="/tmp")],
    }
    for name, entries in cases.items():
        write(os.path.join(out, name + ".tar"), tar_bytes(entries))
        write_zip(os.path.join(out, name + ".zip"), entries)


def bad_tars(out):
    path = lambda name: os.path.join(out, name)
    plain = tar_bytes(TREE)
    kinds = {"fifo": tarfile.FIFOTYPE, "character": tarfile.CHRTYPE, "block": tarfile.BLKTYPE}
    for name, kind in kinds.items():
        write(path(name + ".tar"), tar_bytes([], extra=[(special("dev", kind), b"")]))
    links = {"hardlink-absolute": "/etc/passwd", "hardlink-dotdot": "../etc/passwd",
             "hardlink-missing": "nowhere", "hardlink-self": "h"}
    for name, target in links.items():
        write(path(name + ".tar"), tar_bytes([], extra=[(special("h", tarfile.LNKTYPE, target), b"")]))
    write(path("hardlink-directory.tar"), tar_bytes(
        [directory("d")], extra=[(special("h", tarfile.LNKTYPE, "d"), b"")]))
    write(path("empty.tar"), b"\0" * 10240)
    write(path("empty.tar.gz"), gzip.compress(b"\0" * 10240))
    write(path("nothing.tar.gz"), gzip.compress(b""))
    write(path("text.gz"), gzip.compress(b"no tar at all\n" * 100))
    write(path("cut.tar"), plain[:len(plain) // 2])
    end = len(plain.rstrip(b"\0"))
    write(path("endless.tar"), plain[:end - end % 512 + 512])
    broken = bytearray(plain)
    broken[2] ^= 0x55
    write(path("checksum.tar"), bytes(broken))
    packed = gzip.compress(plain)
    write(path("cut.tar.gz"), packed[:len(packed) // 2])
    write(path("cut-trailer.tar.gz"), packed[:-4])
    write(path("crc.tar.gz"), packed[:-8] + b"\1\2\3\4" + packed[-4:])
    write(path("length.tar.gz"), packed[:-4] + b"\1\2\3\4")
    write(path("garbage.tar.gz"), packed + b"garbage")
    write(path("cut.tar.bz2"), bz2.compress(plain)[:-100])
    write(path("cut.tar.xz"), lzma.compress(plain)[:-100])
    if shutil.which("zstd"):
        write(path("cut.tar.zst"), subprocess.run(
            ["zstd", "-qc"], input=plain, stdout=subprocess.PIPE, check=True).stdout[:-100])
    bomb = tar_bytes([Entry("zeros", bytes(64 << 20))])
    write(path("bomb.tar.gz"), gzip.compress(bomb))
    # The bomb is behind the last entry, where no file of it would be written.
    write(path("tail.tar.gz"), gzip.compress(tar_bytes([Entry("f", b"x")]) + bytes(64 << 20)))
    write(path("bomb.tar"), sparse_header(1 << 50))


def sparse_header(size):
    """One old GNU sparse file of @size bytes, with nothing in it."""
    info = special("holes", b"S")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    number = lambda value: b"\x80" + value.to_bytes(11, "big")
    block[124:136] = number(0)
    block[386:410] = number(size) + number(0)
    block[483:495] = number(size)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + b"\0" * 1024


def patch_zip(data, old, new):
    """In the local header and in the directory."""
    assert len(old) == len(new) and data.count(old) >= 2
    return data.replace(old, new)


def bad_zips(out):
    path = lambda name: os.path.join(out, name)
    plain = read(path("plain.zip"))
    write(path("cut.zip"), plain[:len(plain) - 200])
    write(path("half.zip"), plain[:len(plain) // 2])
    with zipfile.ZipFile(path("empty.zip"), "w"):
        pass
    one = read(write_zip(path("one.zip"), [Entry("one.txt", b"0123456789" * 100)]))
    directory_at = one.rindex(b"PK\1\2")

    def changed(name, offset, value):
        """A field of the only entry, in the directory."""
        data = bytearray(one)
        data[directory_at + offset:directory_at + offset + len(value)] = value
        write(path(name), bytes(data))

    changed("crc.zip", 16, b"\1\2\3\4")
    changed("longer.zip", 24, struct.pack("<I", 1001))
    changed("shorter.zip", 24, struct.pack("<I", 999))
    changed("method.zip", 10, struct.pack("<H", 97))
    changed("encrypted.zip", 8, struct.pack("<H", 1))
    changed("device.zip", 38, struct.pack("<I", (stat.S_IFCHR | 0o644) << 16))
    write(path("nul.zip"), patch_zip(one, b"one.txt", b"one\0txt"))
    data = bytearray(read(write_zip(path("damaged.zip"), [Entry("noise", noise(100000, 3))])))
    data[5000:5010] = b"\xff" * 10
    write(path("damaged.zip"), bytes(data))
    write_zip(path("bomb.zip"), [Entry("zeros", bytes(64 << 20))])
    link = Entry("nowhere", link="x")
    data = read(write_zip(path("empty-link.zip"), [link]))
    info = zip_info(link)
    with zipfile.ZipFile(path("empty-link.zip"), "w") as archive:
        archive.writestr(info, b"")


def no_archives(out):
    for name, data in {
        "nothing": b"", "text": b"just some text\n" * 100, "page": b"<!DOCTYPE html>\n<html>",
        "seven": b"7z\xbc\xaf\x27\x1c" + bytes(100), "byte": b"P",
    }.items():
        write(os.path.join(out, name), data)


def main():
    warnings.simplefilter("ignore")
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    os.environ["TZ"] = "UTC"
    good_zips(out)
    good_tars(out)
    odd_tars(out)
    bad_names(out)
    bad_tars(out)
    bad_zips(out)
    no_archives(out)
    write(sys.argv[2], b"")


main()
