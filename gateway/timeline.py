"""Several stories at once, shown as they happen: one line an event, with the height of both chains."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.text import Text

from core.model.ports import HeadSource
from core.model.types import ChainId

COLOURS: Final = ("cyan", "magenta", "yellow", "green", "blue", "bright_red")


@dataclass(slots=True)
class Timeline:
    """Prints lines such as ` 12.4 s  ETH 31 │ CNS 40   2 dollars   locked …`. Silent if `console` is None."""

    console: Console | None
    names: Mapping[ChainId, str]
    heights: dict[ChainId, int] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    _colours: dict[str, str] = field(default_factory=dict)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def show(self, story: str, text: str, style: str = "") -> None:
        """One event of one story."""
        if self.console is None:
            return
        colour = self._colours.setdefault(story, COLOURS[len(self._colours) % len(COLOURS)])
        line = Text()
        line.append(f"{self.elapsed_s:6.1f} s  ", style="dim")
        heights = " │ ".join(f"{name} {self.heights.get(chain, 0):>4}" for chain, name in self.names.items())
        line.append(f"{heights}   ", style="dim")
        line.append(f"{story:<12} ", style=colour)
        line.append(text, style=style)
        self.console.print(line, soft_wrap=True)

    @asynccontextmanager
    async def following(self, chains: Mapping[ChainId, HeadSource]) -> AsyncIterator[None]:
        """Keep `heights` current while the block runs."""
        tasks = [asyncio.create_task(self._follow(chain, source)) for chain, source in chains.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    async def _follow(self, chain: ChainId, source: HeadSource) -> None:
        async for update in source.heads():
            self.heights[chain] = update.head.height
