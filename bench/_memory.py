"""How large processes were."""

import resource
from pathlib import Path


def peak_mb() -> float:
    """The largest resident size of this process so far, of Linux: `getrusage` would count its parent's before exec."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    raise RuntimeError("this system does not report how large a process was")


def peak_of_children_mb() -> float:
    """The largest of the processes that this one has waited for, or its own size when it started them."""
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, 1)
