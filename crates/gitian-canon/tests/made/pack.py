"""Packs the paths on standard input, in their order, with the owners and times of its own choice: `pack.py FORMAT OUT`."""
import os, stat, sys, tarfile, zipfile

format, out = sys.argv[1:]
paths = sys.stdin.buffer.read().decode().split("\0")[:-1]

def newc(file, name, info, inode, data):
    name = name.encode() + b"\0"
    numbers = [inode, info.st_mode if info else 0, 77, 88, 1, 1234567890, len(data), 3, 4, 0, 0, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name
    file.write(head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4))

if format == "tar":
    dialects = [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
    with tarfile.open(out, "w", format=dialects[len(paths) % 2]) as tar:
        for path in paths:
            info = tar.gettarinfo(path, "./" + path)
            info.uid, info.gid, info.uname, info.gname, info.mtime = 4321, 8765, "somebody", "others", 1500000000.25
            tar.addfile(info, open(path, "rb") if info.isreg() else None)
elif format == "zip":
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=len(paths) % 9) as zip:
        for path in paths:
            mode = os.lstat(path).st_mode
            info = zipfile.ZipInfo(path + "/" * stat.S_ISDIR(mode), (2011, 5, 4, 3, 2, 0))
            info.external_attr, info.create_system = mode << 16, 3
            info.compress_type = zipfile.ZIP_STORED if len(path) % 3 == 0 else zipfile.ZIP_DEFLATED
            if stat.S_ISLNK(mode):
                zip.writestr(info, os.readlink(path))
            elif stat.S_ISDIR(mode):
                zip.writestr(info, b"")
            else:
                with zip.open(info, "w") as to:
                    to.write(open(path, "rb").read())
elif format == "cpio":
    with open(out, "wb") as file:
        for inode, path in enumerate(paths):
            info = os.lstat(path)
            data = b""
            if stat.S_ISLNK(info.st_mode):
                data = os.readlink(path).encode()
            elif stat.S_ISREG(info.st_mode):
                data = open(path, "rb").read()
            newc(file, path, info, inode, data)
        newc(file, "TRAILER!!!", None, 0, b"")
