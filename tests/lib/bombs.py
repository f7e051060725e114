"""Repositories that are small and claim to be large: objects written as they are, without Git's judgement.

Each function writes what it needs into a Repository and returns the id of a tree (or blob)."""

import hashlib
import os
import subprocess
import zlib

FILE, DIR = b"100644", b"40000"


class Repository:
    def __init__(self, path):
        self.path = path
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)

    def store(self, kind, head, pieces):
        """A loose object of `pieces`, which are `head` bytes in all; its id."""
        sum, z, out = hashlib.sha1(), zlib.compressobj(6), []
        for piece in (b"%s %d\0" % (kind, head), *pieces):
            sum.update(piece)
            out.append(z.compress(piece))
        oid = sum.hexdigest()
        place = f"{self.path}/objects/{oid[:2]}"
        os.makedirs(place, exist_ok=True)
        with open(f"{place}/{oid[2:]}", "wb") as f:
            f.write(b"".join(out) + z.flush())
        return oid

    def blob(self, data):
        return self.store(b"blob", len(data), [data])

    def zeros(self, size, piece=1 << 20):
        return self.store(b"blob", size, (bytes(min(piece, size - at)) for at in range(0, size, piece)))

    def tree(self, entries):
        """Of (mode, name, id), in Git's order."""
        data = b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(oid)) for mode, name, oid in entries)
        return self.store(b"tree", len(data), [data])

    def commit(self, tree, message="bomb", parent=None, ref="refs/heads/main"):
        who = "A <a@example.org> 1767323045 +0000"
        above = f"parent {parent}\n" if parent else ""
        data = f"tree {tree}\n{above}author {who}\ncommitter {who}\n\n{message}\n".encode()
        oid = self.store(b"commit", len(data), [data])
        subprocess.run(["git", "-C", self.path, "update-ref", ref, oid], check=True)
        return oid


def doubling(repo, levels=10, width=10):
    """A tree of width ** levels files, in levels + 1 objects."""
    oid, mode = repo.blob(b"bomb\n"), FILE
    for _ in range(levels):
        oid, mode = repo.tree([(mode, b"%d" % i, oid) for i in range(width)]), DIR
    return oid


def deep(repo, depth, name=b"d"):
    """A file below `depth` directories."""
    oid = repo.tree([(FILE, b"file", repo.blob(b"deep\n"))])
    for _ in range(depth):
        oid = repo.tree([(DIR, name, oid)])
    return oid


def wide(repo, width):
    """A directory of `width` files with one content."""
    oid = repo.blob(b"wide\n")
    return repo.tree([(FILE, b"f%07d" % i, oid) for i in range(width)])
