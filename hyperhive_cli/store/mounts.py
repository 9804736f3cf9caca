"""Which file system a path lies on, from the text of `/proc/self/mountinfo`. Pure text."""

import re
from pathlib import PurePath

# On these a WAL database is not sound: its -shm must be one memory for all who use it, which a network cannot
# give. A list of what is known to fail: overlay, 9p, tmpfs, fuse-overlayfs and types nobody knows yet are fine.
UNSOUND = frozenset(
    {"afs", "cifs", "coda", "davfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {f"fuse.{name}" for name in ("davfs2", "gcsfuse", "gvfsd-fuse", "rclone", "s3fs", "smbnetfs", "sshfs")}
)
_ESCAPE = re.compile(r"\\([0-7]{3})")  # blank, tab, newline and backslash in a path


def file_system_of(path: PurePath, mountinfo: str) -> str | None:
    """Return the type of the file system that an absolute path without links lies on, None: the text does not say."""
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        where, _, what = line.partition(" - ")
        places, types = where.split(" "), what.split(" ")
        if len(places) < 5 or not types[0]:
            continue
        point = PurePath(_ESCAPE.sub(lambda code: chr(int(code[1], 8)), places[4]))
        depth = len(point.parts)
        # Of two mounts on one folder the later one covers the earlier.
        if path.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, types[0]
    return None if found is None else found[1]
