"""Packs and unpacks in one process, since starting Python takes longer than a tree does.

Each line on standard input is an order, `{"do": "tar", "folder": "...", "archive": "...", "paths": ["..."]}`; each is answered
by a line: `done`, or what went wrong. Paths are packed in their order, with owners and times of its own choice.
"""
import json, os, stat, sys, tarfile, zipfile

def pack_tar(out, paths):
    dialects = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
    with tarfile.open(out, "w", format=dialects[len(paths) % 2]) as tar:
        for path in paths:
            info = tar.gettarinfo(path, "./" + path)
            info.uid, info.gid, info.uname, info.gname, info.mtime = 4321, 8765, "somebody", "others", 1500000000.25
            if info.isreg():
                with open(path, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)

def unpack_tar(archive, paths):
    with tarfile.open(archive) as tar:
        # Newer Pythons ask to be told that a tar is trusted; the one of Debian 12 does not know the question.
        tar.extraction_filter = lambda member, path: member
        tar.extractall()

def pack_zip(out, paths):
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=len(paths) % 9) as zip:
        for path in paths:
            mode = os.lstat(path).st_mode
            info = zipfile.ZipInfo(path + "/" * stat.S_ISDIR(mode), (2011, 5, 4, 3, 2, 0))
            info.external_attr, info.create_system = mode << 16, 3
            info.compress_type = zipfile.ZIP_STORED if len(path) % 3 == 0 else zipfile.ZIP_DEFLATED
            if stat.S_ISDIR(mode):
                zip.writestr(info, b"")
            else:
                with zip.open(info, "w") as to:
                    to.write(content(path, mode))

def pack_cpio(out, paths):
    with open(out, "wb") as file:
        for inode, path in enumerate(paths):
            info = os.lstat(path)
            newc(file, path, info, inode, b"" if stat.S_ISDIR(info.st_mode) else content(path, info.st_mode))
        newc(file, "TRAILER!!!", None, 0, b"")

def newc(file, name, info, inode, data):
    name = name.encode() + b"\0"
    numbers = [inode, info.st_mode if info else 0, 77, 88, 1, 1234567890, len(data), 3, 4, 0, 0, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name
    file.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

def content(path, mode):
    if stat.S_ISLNK(mode):
        return os.readlink(path).encode()
    with open(path, "rb") as file:
        return file.read()

DOES = {"tar": pack_tar, "zip": pack_zip, "cpio": pack_cpio, "untar": unpack_tar}
for line in sys.stdin:
    order = json.loads(line)
    try:
        os.chdir(order["folder"])
        DOES[order["do"]](order["archive"], order["paths"])
        print("done", flush=True)
    except Exception as error:
        print(repr(error), flush=True)
