"""The initiator's process: followers and a pump over the client's own database; the caller is asked before each act."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import RetryableError
from core.model.ports import ChainAccess, Signer
from core.model.types import AccountId, ChainId, ChainTime, Height, LockTerms, SwapId
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from htlc.model import SwapState
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.store import start_height
from relayer.client.hooks import ClientConsultation, Hooks
from relayer.client.store import Preimages
from relayer.metrics import RelayerMetrics
from relayer.policy import RelayerPolicy
from relayer.pump.wiring import Pump
from relayer.transactions import accounts, sequences

HOUSEKEEPING_S: Final = 2.0
BEFORE_AGREEMENT_S: Final = 120.0
"""How long before an agreement was stored its chains are read: their clocks and ours may differ."""


class ClientProcess:
    """Runs until cancelled. Swaps begun in the database go on by themselves."""

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, ChainAccess],
        signers: Mapping[ChainId, Signer],
        policy: RelayerPolicy,
        clock: Clock,
        metrics: Metrics,
        preimages: Preimages,
        since_s: float | None = None,
        inherited: Collection[SwapId] = (),
    ) -> None:
        """`since_s`: the Unix time of the oldest agreement in the store, None without one. A chain that is followed for
        the first time is followed from there on: a copy of the store may know less than the chain. `inherited`: swaps
        that were agreed on before this process began, which another copy may have gone on with."""
        self.hooks = Hooks()
        self._database = database
        self._chains = chains
        self._clock = clock
        self._metrics = metrics
        self._since_s = since_s
        self._inherited = frozenset(inherited)
        self._counted: dict[SwapId, int] = {}
        """Of inherited swaps: up to which of our account's sequences all uses are known."""
        self._given_up_at: dict[SwapId, ChainTime] = {}
        """Of inherited swaps whose lock is refused: from which time on of its chain that is believed."""
        self._facts = FactSignal()
        self._followers: dict[ChainId, Follower] = {}
        self._heads_at_start: dict[ChainId, Height] = {}
        self._following: set[ChainId] = set()
        self._followed = asyncio.Event()
        # Its owner uses the account elsewhere, too: a sequence that another transaction took is taken for what it is.
        # (A lock whose sequence is finally used otherwise is never signed again by the machine.)
        shared = replace(policy, pipeline=replace(policy.pipeline, shared=True))
        consultation = ClientConsultation(database, self.hooks, self)
        self._pump = Pump(
            database, chains, signers, shared, self._facts, clock, RelayerMetrics(metrics), preimages, consultation
        )
        self.updates = self._pump.updates
        self._supervisor = Supervisor(clock, metrics)
        alone = partial(Worker, contained=True)
        self._supervisor.add(
            *self._pump.workers(),
            *(alone(f"follower {chain}", self._follow(access)) for chain, access in chains.items()),
            Worker("housekeeping", self._pump.expire_quotes, pause_s=HOUSEKEEPING_S),
        )

    async def run(self) -> None:
        """Raise `FatalError` if going on would be unsafe."""
        await self._supervisor.run()

    async def followed(self) -> None:
        """Return once every chain is followed: a lock sent before could be missed."""
        await self._followed.wait()

    async def caught_up(self) -> None:
        """Raise `RetryableError` until the facts of every chain reach up to the block that was its head when we began
        to follow it: what another process did before with a copy of this store is known then."""
        for chain in self._chains:
            follower, head = self._followers.get(chain), self._heads_at_start.get(chain)
            tip = None if follower is None else follower.status.tip
            if head is None or tip is None or tip.height < head:
                raise RetryableError(f"{chain} is still being read up to its newest block: nothing is locked before")

    async def known(self, state: SwapState) -> None:
        """Raise `RetryableError` while a lock that another copy of the store has made may be hidden from us: until the
        facts reach the heads of our start, and while our account has uses of which this store knows nothing and that
        are not final. A reorg could take such a lock out of sight, and bring it back next to a second one."""
        await self.caught_up()
        if (terms := self._inherited_lock(state)) is None:
            return
        access, account = self._chains[terms.chain], terms.sender
        view = await access.transactions.sequences(account)
        # Asked for afterwards: what is final by that count is in a block up to here.
        height, tip = (await access.heads.head()).finalized.height, self._followers[terms.chain].status.tip
        if (final := view.finalized) is None or tip is None or tip.height < height:
            raise RetryableError(f"what is final of {account} is not known yet: nothing is locked before")

        def unknown(connection: Connection) -> tuple[int, list[int]]:
            end = max(view.latest, accounts.next_sequence(connection, terms.chain, account))
            return end, sequences.gaps(connection, terms.chain, account, final, end, undone=True)

        end, found = await self._database.read(unknown)
        _check_uses(account, found)
        self._counted[state.swap_id] = end

    def still_known(self, connection: Connection, state: SwapState) -> None:
        """Raise `RetryableError` if a use of our account has come up since `known` looked, of which this store knows
        nothing. Of several endpoints most may be behind at that look, and not when the sequence is counted."""
        if (terms := self._inherited_lock(state)) is None:
            return
        account, counted = terms.sender, self._counted[state.swap_id]
        end = accounts.next_sequence(connection, terms.chain, account)
        _check_uses(account, sequences.gaps(connection, terms.chain, account, counted, end))

    async def may_be_given_up(self, state: SwapState) -> None:
        """Raise `RetryableError` while a lock of this swap that another copy of the store has made may be on its way or
        in a block that is not read yet: until its chain is final beyond the time that a transaction may take which was
        sent when the lock was refused here for the first time."""
        if (terms := self._inherited_lock(state)) is None:
            return
        view = await self._chains[terms.chain].heads.head()
        late = view.head.time.plus(state.agreement.initiator_timing.inclusion_s)
        until, follower = self._given_up_at.setdefault(state.swap_id, late), self._followers.get(terms.chain)
        tip = None if follower is None else follower.status.tip  # what is too late is refused before anything is read
        if view.finalized.time < until or tip is None or tip.height < view.finalized.height:
            raise RetryableError("another copy of this store may have made this lock: it is waited for")

    def _inherited_lock(self, state: SwapState) -> LockTerms | None:
        """Our lock's terms if another copy may have made it."""
        own = state.agreement.own_leg
        return None if own is None or state.swap_id not in self._inherited else state.agreement.terms(own)

    async def _first_height(self, access: ChainAccess) -> Height:
        """The newest final block, or the one before the oldest agreement was made."""
        header = (await access.heads.head()).finalized
        step = 1
        while self._since_s is not None and header.time.seconds > self._since_s - BEFORE_AGREEMENT_S:
            height = Height(max(1, header.height - step))
            if height >= header.height:
                break
            header = await access.blocks.header(height)
            step *= 2
        return header.height

    def _follow(self, access: ChainAccess) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            start = await self._database.read(lambda c: start_height(c, access.chain))
            if start is None:
                start = await self._first_height(access)
            follower = Follower(
                access.parameters,
                access.heads,
                access.blocks,
                self._database,
                self._facts,
                self._clock,
                start,
                self._metrics,
            )
            self._followers[access.chain] = follower
            self._heads_at_start.setdefault(access.chain, (await access.heads.head()).head.height)
            await follower.open()
            self._following.add(access.chain)
            if self._following == set(self._chains):
                self._followed.set()
            await follower.run()

        return run


def _check_uses(account: AccountId, unknown: Sequence[int]) -> None:
    if unknown:
        raise RetryableError(
            f"{account} was used elsewhere (number {unknown[0]}), which is not final yet and may be this lock, made "
            "with another copy of this store: nothing is locked before it is final"
        )
