"""The file system of a path, from the text of `/proc/self/mountinfo`. Pure."""

import re
from pathlib import PurePath

# A WAL database fails on these: all its users must share the memory of its -shm, which a network file system cannot
# offer. Only types that are known to fail; overlay, 9p, tmpfs, fuse-overlayfs and unknown types are accepted.
UNSOUND = frozenset(
    {"afs", "cifs", "coda", "davfs", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"}
    | {f"fuse.{name}" for name in ("davfs2", "gcsfuse", "gvfsd-fuse", "rclone", "s3fs", "smbnetfs", "sshfs")}
)
_ESCAPE = re.compile(r"\\([0-7]{3})")  # space, tab, newline and backslash in a path


def file_system_of(path: PurePath, mountinfo: str) -> str | None:
    """Return the type of the file system of an absolute path without links, None if the text does not say."""
    found: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        where, _, what = line.partition(" - ")
        places, types = where.split(" "), what.split(" ")
        if len(places) < 5 or not types[0]:
            continue
        point = PurePath(_ESCAPE.sub(lambda code: chr(int(code[1], 8)), places[4]))
        depth = len(point.parts)
        # A later mount on the same folder covers the earlier one.
        if path.is_relative_to(point) and (found is None or depth >= found[0]):
            found = depth, types[0]
    return None if found is None else found[1]
