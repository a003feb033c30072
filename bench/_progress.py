"""A progress bar on a terminal; elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import Progress

EVERY_S: Final = 15.0


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is called with how many more are done. All goes to standard error."""
    console = Console(stderr=True)
    if console.is_terminal:
        with Progress(console=console) as bar:
            task = bar.add_task(title, total=total)
            yield lambda more: bar.advance(task, more)
        return
    done, begun, said = 0, time.monotonic(), 0.0

    def advance(more: int) -> None:
        nonlocal done, said
        done += more
        now = time.monotonic()
        if now - said >= EVERY_S or done >= total:
            said = now
            print(f"{title}: {done} of {total} after {now - begun:.0f} s", file=sys.stderr, flush=True)

    yield advance
