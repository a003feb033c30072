"""How far the state tree is when a node starts: a bar on a terminal, lines in a log elsewhere."""

import sys
import time
from typing import Final

import structlog
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

MIN_LEAVES: Final = 20_000
"""Fewer are there before anybody could read of them."""
LOG_EVERY_S: Final = 5.0

_log = structlog.get_logger(__name__)


class RebuildProgress:
    """Called with (leaves done, leaves in all), from any one thread."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._logged = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if total < MIN_LEAVES:
            return
        if sys.stderr.isatty():
            self._show(done, total)
        elif done == total or time.monotonic() - self._logged >= LOG_EVERY_S:
            self._logged = time.monotonic()
            _log.info("rebuilding the state tree", leaves=done, of=total)

    def _show(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("rebuilding the state tree"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.add_task("rebuilding", total=total)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)
        if done == total:
            self._bar.stop()
