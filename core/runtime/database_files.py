"""A file that a database is to be kept in: looked at before SQLite opens it, so that what is wrong gets a sentence."""

import os
from pathlib import Path
from typing import Final

from core.model.errors import FatalError
from core.runtime.files import make_directory

MOUNTS: Final = Path("/proc/self/mounts")
MAX_MOUNTS_BYTES: Final = 1024 * 1024
HEADER: Final = b"SQLite format 3\0"
_NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "lustre", "glusterfs", "fuse.sshfs", "fuse.glusterfs"}
)
"""SQLite's write-ahead log needs memory that is shared, so all of its users on one machine (sqlite.org/wal.html)."""


def make_room(path: Path) -> None:
    """Make the directory of `path`. Raise `FatalError` if no database can be kept there."""
    try:
        # SQLite syncs the directory of its files (with each new log), and nothing above it.
        make_directory(path.parent)
        if path.is_dir():
            raise FatalError(f"the database {path} is a directory: name a file in it")
        if path.exists() and not path.is_file():
            raise FatalError(f"the database {path} is not a plain file: name another")
    except OSError as error:
        raise FatalError(f"cannot make the directory of {path}: {error.strerror}: name another file") from error
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        raise FatalError(f"the database {path} is read-only: give this user the right to read and write it")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise FatalError(f"the directory of the database {path} is read-only: give this user the right to write it")
    kind = filesystem(path.parent)
    if kind in _NETWORK:
        raise FatalError(f"the database {path} is on a network disk ({kind}), which loses writes: use a local disk")


def inspect_file(path: Path) -> None:
    """Look whether `path` can be a database, without making or opening anything. Raise `FatalError`."""
    try:
        if path.exists():
            make_room(path)
            with path.open("rb") as file:
                head = file.read(len(HEADER))
            if head and head != HEADER:
                raise FatalError(f"{path} is not an SQLite database: name another file")
            return
        place = path.parent
        while not place.exists() and place != place.parent:
            place = place.parent
        if not place.is_dir():
            raise FatalError(f"{path} cannot be made: {place} is a file")
        if not os.access(place, os.W_OK | os.X_OK):
            raise FatalError(f"{path} cannot be made: give this user the right to write {place}")
    except OSError as error:
        raise FatalError(f"{path} cannot be a database: {error.strerror}; name another file") from error


def filesystem(directory: Path, mounts: Path = MOUNTS) -> str:
    """The type of filesystem that `directory` is on, as the kernel names it (proc(5)); empty if that is unknown."""
    try:
        place = directory.resolve()
        with mounts.open("rb") as file:
            lines = file.read(MAX_MOUNTS_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return ""
    found, longest = "", -1
    for fields in (line.split() for line in lines):
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if (point == place or point in place.parents) and len(point.parts) >= longest:
            found, longest = fields[2], len(point.parts)
    return found
