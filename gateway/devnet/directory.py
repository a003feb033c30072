"""A devnet's directory: one devnet at a time in it, and nothing of the one before."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from core.model.errors import RejectedError

MARKER: Final = ".causeway-devnet"
"""Says that a directory is a devnet's, so that emptying it is ours to do. Locked while a devnet runs."""


@contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Empty the directory and hold it while the block runs.

    Raise `RejectedError` if another devnet runs in it, or if it holds what no devnet put there.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    marker = directory / MARKER
    if not marker.exists() and any(directory.iterdir()):
        raise RejectedError(f"{directory} holds files of something else: name an empty directory with --dir")
    handle = os.open(marker, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RejectedError(
                f"a devnet runs in {directory} already: stop it, or name another directory with --dir"
            ) from None
        for entry in directory.iterdir():
            if entry == marker:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        yield
    finally:
        os.close(handle)
