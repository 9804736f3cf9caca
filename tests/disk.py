"""Disks that are full: a small tmpfs, and ways to fill it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SIZE_KIB = 400
ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def small_disk(request: pytest.FixtureRequest, folder: Path, size_kib: int = SIZE_KIB) -> Iterator[Path]:
    """Mount a small tmpfs on a folder. Who may not mount runs the test once more as root of a namespace."""
    if os.geteuid() != 0:
        _run_in_namespace(request.node.nodeid)
    folder.mkdir(exist_ok=True)
    done = _mount("-t", "tmpfs", "-o", f"size={size_kib}k,mode=700", "none", str(folder))
    if done.returncode:
        pytest.skip(f"NOT TESTED, a full disk: no tmpfs can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


def _run_in_namespace(test: str) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("NOT TESTED, a full disk: neither root nor a user namespace is to be had")
    command = ["unshare", "-rm", sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    pytest.skip("passed in a namespace of its own")


def fill_disk(folder: Path) -> Path:
    """Write a file until nothing more fits, and return it: without it there is space again."""
    filler = folder / "filler"
    with filler.open("ab", buffering=0) as file:
        for size_bytes in (4096, 512, 1):
            try:
                while file.write(b"x" * size_bytes):
                    pass
            except OSError:
                continue
    return filler
