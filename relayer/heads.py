"""The newest head of each chain, for everyone in this process who waits for blocks."""

from core.model.facts import HeadUpdate
from core.model.ports import HeadSource
from core.runtime.signals import Signal


class HeadBoard:
    """The newest head of one chain. `run` follows it; without that, `current` asks once."""

    def __init__(self, source: HeadSource) -> None:
        self._source = source
        self.latest: HeadUpdate | None = None
        self.changed = Signal()

    async def run(self) -> None:
        """Follow the heads for ever."""
        async for update in self._source.heads():
            self.latest = update
            self.changed.notify()

    async def current(self) -> HeadUpdate:
        """The newest update, asked for if none has come yet. Raise `RetryableError`."""
        if self.latest is None:
            self.latest = await self._source.head()
            self.changed.notify()
        return self.latest
