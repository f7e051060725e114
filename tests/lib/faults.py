"""Faults in a running daemon: the other side of tests/crash/faultlib.c."""

import errno
import mmap
import os
import struct

from onwardtest import BUILD, ENV, until

LIBRARY = os.environ.get("ONWARD_FAULTLIB") or os.path.join(BUILD, "tests/crash/libfaults.so")

OPEN, OPEN_NEW, WRITE, SYNC, RENAME, MAKE, REMOVE, SIZE, ATTRIBUTE = (1 << i for i in range(9))
ALL = (1 << 9) - 1
COUNT, ONCE, FROM_THEN, KILL_BEFORE, KILL_AFTER, HOLD, SHORT, NO_SYNC = range(8)

# What a filesystem may answer to which kinds of calls.
CHANGES = OPEN_NEW | WRITE | RENAME | MAKE | SIZE | ATTRIBUTE
KINDS = {
    errno.ENOSPC: CHANGES | SYNC,
    errno.EDQUOT: CHANGES | SYNC,
    errno.EIO: ALL,
    errno.EMFILE: OPEN | OPEN_NEW,
    errno.EROFS: CHANGES | REMOVE,
    errno.EINTR: WRITE,
}

SIZE_OF_CONTROL = 512


class Faults:
    """What a daemon that is started with `env` does with its calls on files below `roots`."""

    def __init__(self, dir, roots):
        self.path = os.path.join(dir, "faults")
        with open(self.path, "wb") as f:
            f.truncate(SIZE_OF_CONTROL)
        with open(self.path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), SIZE_OF_CONTROL)
        sanitized = ":".join(filter(None, [ENV.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        self.env = {"LD_PRELOAD": LIBRARY, "FAULT_CONTROL": self.path, "FAULT_ROOTS": ":".join(roots),
                    "ASAN_OPTIONS": sanitized}

    def _put(self, index, value):
        self.map[4 * index:4 * index + 4] = struct.pack("=I", value)

    def _get(self, index):
        return struct.unpack("=I", self.map[4 * index:4 * index + 4])[0]

    def set(self, mode, target=1, err=0, kinds=ALL):
        """From now on; counting begins anew."""
        self._put(0, 0)
        for i, value in enumerate((target, mode, err, 0, 0, 0, 0), 1):
            self._put(i, value)
        self.map[32:SIZE_OF_CONTROL] = bytes(SIZE_OF_CONTROL - 32)
        self._put(0, kinds)

    def lift(self):
        """No more faults. Counts stay readable."""
        self._put(0, 0)
        self._put(7, 1)

    @property
    def count(self):
        return self._get(4)

    @property
    def hits(self):
        return self._get(5)

    @property
    def what(self):
        """The first call that was hit."""
        return self.map[32:SIZE_OF_CONTROL].split(b"\0")[0].decode(errors="replace")

    def wait_until_held(self, or_ended=lambda: False):
        """With HOLD: True when the target waits, False if `or_ended` came true first."""
        until("the call is reached", lambda: self._get(6) or or_ended(), 60)
        return bool(self._get(6))

    def release(self):
        self._put(7, 1)
