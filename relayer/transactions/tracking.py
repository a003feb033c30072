"""One account's count on its chain, compared with the journal: who else uses our key, and which sequences are missing.

The chain's count can only run ahead of the journal's if somebody else signs with the key, or if the journal is empty
or an old copy: bytes are stored before their first broadcast. One look starts a suspicion, under which nothing but
exits is signed; `LOOKS` looks, each at another head, make it a foreign use (see `relayer.transactions.accounts`). An
exit does not wait for them.
"""

import asyncio
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.model.ports import TransactionSender
from core.model.transactions import SequenceView
from core.model.types import AccountId, ChainId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer.heads import HeadBoard
from relayer.metrics import RelayerMetrics
from relayer.transactions import accounts, sequences

LOOKS: Final = 5
"""Looks at the chain, a block apart, that must all show a sequence as used by somebody else before we believe it."""
GAP_LOOKS: Final = 2

log = get_logger("relayer.transactions")


class AccountWatch:
    """The watch over one account's count. `shared`: the owner uses the account elsewhere, too, so foreign uses are
    expected: they are taken in at once, and stop nothing."""

    def __init__(
        self,
        database: Database,
        sender: TransactionSender,
        chain: ChainId,
        account: AccountId,
        board: HeadBoard,
        clock: Clock,
        metrics: RelayerMetrics,
        shared: bool,
    ) -> None:
        self.shared = shared
        self.suspicious = False
        """The chain counts more than the journal, and that is not believed yet."""
        self._database = database
        self._sender = sender
        self._chain = chain
        self._account = account
        self._board = board
        self._clock = clock
        self._metrics = metrics
        self._looks = 0
        self._looked_at: int | None = None
        self._gaps: dict[int, int] = {}
        self._upcoming = 0
        """The journal's last word on the next sequence, which it never takes back."""

    async def look(self) -> SequenceView:
        """The chain's count, compared. Raise `RetryableError` if it does not answer."""
        return await self._look(hurry=False)

    async def soon(self, timeout_s: float) -> SequenceView | None:
        """As `look`, for an exit: what the chain counts is believed at once, and None is an answer."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._look(hurry=True)
        except (RetryableError, TimeoutError):
            return None

    async def _look(self, hurry: bool) -> SequenceView:
        view = await self._sender.sequences(self._account)
        if view.latest <= self._upcoming:
            self.suspicious, self._looks = False, 0
            return view
        # In this order: what we allot in between is in the journal, and cannot be in the older count.
        self._upcoming = upcoming = await self._database.read(
            lambda c: accounts.next_sequence(c, self._chain, self._account)
        )
        if view.latest <= upcoming:
            self.suspicious, self._looks = False, 0
            return view
        if self.shared:
            await self._database.write(lambda c: accounts.advance(c, self._chain, self._account, view.latest))
            return view
        if not self.suspicious:
            log.error("account used by somebody else?", account=self._account, chain_counts=view.latest, known=upcoming)
        self.suspicious = True
        self._count_look()
        if hurry or self._looks >= LOOKS:
            await self.believe(upcoming, view.latest)
            self.suspicious, self._looks = False, 0
        return view

    def _count_look(self) -> None:
        """Looks at one head are one look."""
        height = None if self._board.latest is None else self._board.latest.head.height
        if height is None or height != self._looked_at:
            self._looks += 1
        self._looked_at = height

    async def believe(self, first: int, end: int) -> None:
        """These sequences were used by somebody else: record it, and go on behind them."""
        if self.shared:
            return
        now_ns = self._clock.now_ns()

        def note(connection: Connection) -> bool:
            return accounts.note_foreign_use(connection, self._chain, self._account, first, end, now_ns)

        if await self._database.write(note):
            self._metrics.foreign_uses.labels(self._chain).inc(end - first)
            log.error(
                "account used by somebody else: no funding and no reveal until it is acknowledged",
                chain=self._chain,
                account=self._account,
                first=first,
                last=end - 1,
            )

    async def missing(self, view: SequenceView, end: int) -> list[int]:
        """Sequences below `end` that nothing will use any more, seen at `GAP_LOOKS` looks in a row: what stands behind
        them waits for them. Those that were settled, or used by somebody else, in a block that was replaced since, at
        `LOOKS`."""

        def read(connection: Connection) -> tuple[list[int], list[int]]:
            gaps = partial(sequences.gaps, connection, self._chain, self._account, end=end)
            known = gaps(first=view.latest)
            # As many as a quorum shows, in the newest and in the final state: none that lags makes one up.
            return known, known if view.finalized is None else gaps(first=view.latest, undone=True)

        known, found = await self._database.read(read) if end > view.latest else ([], [])
        self._gaps = {sequence: self._gaps.get(sequence, 0) + 1 for sequence in {*known, *found}}
        return [
            sequence
            for sequence, looks in sorted(self._gaps.items())
            if looks >= (GAP_LOOKS if sequence in known else LOOKS)
        ]
