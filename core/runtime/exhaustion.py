"""Resources of this machine that are at their end, said as such: memory, disk, file descriptors, threads.

Python and libraries raise these from any line, so they are translated where a piece of work as a whole ends: there the
work is given up, what is durable stays, and nobody goes on with half of it.

Memory is looked at in time as well (`require_memory`): once none is left, a library in C may end the process before
Python can raise anything.
"""

import errno
import resource
from pathlib import Path
from typing import Final

from core.model.errors import CausewayError, FatalError

AGAIN: Final = "and start again; nothing that was confirmed is lost"
_NO_MEMORY: Final = f"no memory is left for this process: free some, or raise its limit, {AGAIN}"
_DISK_FULL: Final = f"its disk is full: free some space {AGAIN}"
_NO_FILES: Final = f"no file descriptor is left for this process: raise its limit (ulimit -n), {AGAIN}"
_NO_THREADS: Final = f"no thread can be started: raise the limit of processes (ulimit -u) or of memory, {AGAIN}"
_MEANINGS: Final = {
    errno.ENOMEM: _NO_MEMORY,
    errno.ENOSPC: _DISK_FULL,
    errno.EDQUOT: _DISK_FULL,
    errno.EFBIG: _DISK_FULL,
    errno.EMFILE: _NO_FILES,
    errno.ENFILE: _NO_FILES,
}
MIN_MEMORY_BYTES: Final = 16 * 1024 * 1024
"""Memory that has to be left before a piece of work that must not be torn off."""
_LIMITS: Final = ((resource.RLIMIT_DATA, "VmData:"), (resource.RLIMIT_AS, "VmSize:"))
"""The limits of setrlimit(2) on memory, each with the line of proc(5) that says how much this process has."""
_STATUS: Final = Path("/proc/self/status")
_THREAD: Final = "can't start new thread"
"""How CPython says it (`_thread.start_new_thread`): with a plain `RuntimeError`."""


def reason_of(error: Exception) -> str:
    """Why a piece of work was given up, for whoever asked for it."""
    said = exhausted(error, "this")
    if isinstance(error, CausewayError):
        return error.message
    return said.message if said is not None else str(error) or type(error).__name__


def exhausted(error: BaseException, what: str) -> FatalError | None:
    """The error for people if `error` means that a resource is at its end, else None. `what` cannot go on."""
    if isinstance(error, MemoryError):
        return FatalError(f"{what} cannot go on, {_NO_MEMORY}")
    if isinstance(error, OSError) and error.errno in _MEANINGS:
        place = f" ({error.filename})" if error.filename else ""
        return FatalError(f"{what} cannot go on, {_MEANINGS[error.errno]}{place}")
    if isinstance(error, RuntimeError) and _THREAD in str(error):
        return FatalError(f"{what} cannot go on, {_NO_THREADS}")
    return None


def memory_left() -> int | None:
    """How many bytes this process may still have by its own limits; None if it has no limit, or it is not known."""
    limits = [(resource.getrlimit(which)[0], name) for which, name in _LIMITS]
    if all(limit == resource.RLIM_INFINITY for limit, _ in limits):
        return None
    try:
        status = dict(line.split(maxsplit=1) for line in _STATUS.read_text().splitlines() if line.startswith("Vm"))
    except OSError:
        return None
    left = [
        limit - int(status[name].split()[0]) * 1_024
        for limit, name in limits
        if limit != resource.RLIM_INFINITY and name in status
    ]
    return min(left, default=None)


def require_memory(what: str) -> None:
    """Raise `FatalError` if less than `MIN_MEMORY_BYTES` are left: `what` stops while it still can in good order."""
    left = memory_left()
    if left is not None and left < MIN_MEMORY_BYTES:
        raise FatalError(f"{what} cannot go on, {_NO_MEMORY}")
