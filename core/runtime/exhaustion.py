"""Resources of this machine that are at their end, said as such: memory, disk, file descriptors, threads.

Python and libraries raise these from any line, so they are translated where a piece of work as a whole ends: there the
work is given up, what is durable stays, and nobody goes on with half of it.
"""

import errno
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
