"""The file system of a path, from texts as Linux writes them."""

from pathlib import PurePosixPath

import pytest

from hyperhive_cli.store.file_place import UNSOUND, file_system_of

MOUNTINFO = r"""22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:30 / /home rw,relatime shared:7 master:1 - nfs4 server:/export/home rw,vers=4.2
31 30 0:31 /sub /home/me/local rw - xfs /dev/sdb1 rw
32 22 0:32 / /mnt/two\040words rw - fuse.sshfs me@host: rw,user_id=0
33 22 0:33 / /mnt/covered rw - cifs //server/share rw
34 22 0:34 / /mnt/covered rw - tmpfs tmpfs rw
35 22 0:35 / /over rw - overlay overlay rw,lowerdir=/a,upperdir=/b
not a line of this file
36 22 0:36 / /torn
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/lib/agent", "ext4"),
        ("/home/me/.local/state", "nfs4"),
        ("/home/me/local/state", "xfs"),
        ("/homework", "ext4"),
        ("/mnt/two words/agent", "fuse.sshfs"),
        ("/mnt/covered/agent", "tmpfs"),
        ("/over", "overlay"),
        ("/torn/agent", "ext4"),
        ("/", "ext4"),
    ],
)
def test_the_deepest_mount_that_holds_a_path_tells_its_file_system(path: str, found: str) -> None:
    assert file_system_of(PurePosixPath(path), MOUNTINFO) == found


@pytest.mark.parametrize("text", ["", "\n", "1 2 3", "1 2 3 4 5 6 - "])
def test_a_text_that_does_not_say_gives_none(text: str) -> None:
    assert file_system_of(PurePosixPath("/a"), text) is None


def test_only_what_is_known_to_fail_is_unsound() -> None:
    assert {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs"} <= UNSOUND
    sound = {
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "overlay",
        "9p",
        "tmpfs",
        "virtiofs",
        "fuse",
        "fuseblk",
        "fuse.fuse-overlayfs",
    }
    assert sound & UNSOUND == set()
