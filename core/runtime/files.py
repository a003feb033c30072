"""Files that one process has for itself, files that are replaced whole or not at all, small files that people name."""

import fcntl
import os
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec

from core.model.errors import ConflictError, FatalError, RejectedError

LOCK_SUFFIX: Final = ".lock"
PRIVATE: Final = 0o600
MAX_HOLDER_BYTES: Final = 4_096
MAX_COMMAND_CHARS: Final = 200
MAX_REOPENED: Final = 8
"""How often a lock file that was replaced between opening and locking it is opened again."""


class Holder(msgspec.Struct, frozen=True):
    """The process that holds a lock, for people: in a container its `pid` means something on `host` only."""

    pid: int
    host: str
    command: str
    since: str

    @classmethod
    def this(cls) -> Self:
        name = Path(sys.argv[0]).name
        command = " ".join(["causeway" if name in ("", "-c", "__main__.py") else name, *sys.argv[1:]])
        return cls(
            os.getpid(),
            socket.gethostname(),
            command[:MAX_COMMAND_CHARS],
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} ({self.command}, since {self.since})"


@dataclass(slots=True)
class FileLock:
    """`path` for this process alone, by flock(2) on `<path><suffix>`: the kernel lets go of it when the process ends.

    Symbolic links are followed, so that a file has one lock under all of its names. The lock file stays where it is;
    only what holds it counts. It binds all processes of this machine.
    """

    path: Path
    suffix: str = LOCK_SUFFIX
    _descriptor: int | None = None

    def take(self, remedy: str = "stop it, or name another file") -> None:
        """Take the lock; again is harmless.

        Raise `ConflictError` with the process that has it, `FatalError` if it cannot be made.
        """
        if self._descriptor is not None:
            return
        try:
            real = self.path.resolve()
            place = real.with_name(real.name + self.suffix)
            make_directory(place.parent)
            self._descriptor = _locked(place)
        except (OSError, RuntimeError) as error:
            raise FatalError(
                f"cannot lock {self.path}: {getattr(error, 'strerror', None) or error}; make its directory writable"
            ) from error
        if self._descriptor is None:
            raise ConflictError(f"{self.path} is in use by {_holder(place)}: {remedy}")
        # On a full disk the lock holds all the same; others then read "another process".
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, msgspec.json.encode(Holder.this()), 0)

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def locked(path: Path, remedy: str = "stop it, or name another file") -> Iterator[None]:
    """`path` for this process alone while the block runs. Raise as `FileLock.take`."""
    lock = FileLock(path)
    lock.take(remedy)
    try:
        yield
    finally:
        lock.release()


def _locked(place: Path) -> int | None:
    """A descriptor with the lock, None if another has it."""
    for _ in range(MAX_REOPENED):
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == place.stat().st_ino:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None


def _holder(place: Path) -> str:
    try:
        with place.open("rb") as file:
            return str(msgspec.json.decode(file.read(MAX_HOLDER_BYTES), type=Holder))
    except (OSError, msgspec.MsgspecError, ValueError):
        return "another process"


def replace_file(path: Path, contents: bytes, mode: int = PRIVATE) -> None:
    """Write `path` whole or not at all, durably: a power cut leaves the old file or the new one. Raise `OSError`."""
    make_directory(path.parent)
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def make_directory(directory: Path, mode: int = 0o777) -> None:
    """Make `directory` and what is missing above it, durably; it may be there already. Raise `OSError`.

    The directories above it have the usual mode, as with `mkdir -p`.
    """
    missing = []
    place = directory
    while not place.exists():
        missing.append(place)
        place = place.parent
    directory.mkdir(mode=mode, parents=True, exist_ok=True)
    for made in missing:
        sync_directory(made.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable (fsync(2): a file's own fsync does not). Raise `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_small(path: Path, limit_bytes: int, what: str) -> bytes:
    """The content of a file of at most `limit_bytes`. `what` is called so in errors, such as `the keystore`.

    Raise `FatalError` for what `read_dated` refuses.
    """
    try:
        return read_dated(path, limit_bytes, what)[0]
    except RejectedError as error:
        raise FatalError(error.message) from error


def read_dated(path: Path, limit_bytes: int, what: str) -> tuple[bytes, int]:
    """Return the content of a file of at most `limit_bytes`, and when it was written, in nanoseconds since the Unix
    epoch. `what` is called so in errors.

    Raise `RejectedError` for a file that is missing, may not be read, is larger, or is a directory, a pipe or a device.
    """
    try:
        # Not blocking: a pipe without a writer would keep us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode):
            os.close(descriptor)
            raise RejectedError(f"{what} {path} cannot be read: it is not a file")
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(limit_bytes + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is not a path"
        raise RejectedError(f"{what} {path} cannot be read: {reason}") from error
    if len(raw) > limit_bytes:
        raise RejectedError(f"{what} {path} has more than {limit_bytes} bytes: name the right file")
    return raw, known.st_mtime_ns
