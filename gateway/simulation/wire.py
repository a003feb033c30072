"""Everything that parties send, noted at the moment in which it leaves the process, with the state of the chain then.

The verdict is made of these notes and of the chains alone: nothing that the code under test says of itself is believed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from core.model.errors import CausewayError, RejectedError
from core.model.ports import ChainAccess, TransactionSender
from core.model.transactions import FeeBid, SignedTransaction, UnsignedTransaction
from core.model.types import ChainId, Height
from core.runtime.clock import Clock
from gateway.simulation.chains import Body, PlayedChain


@dataclass(frozen=True, slots=True)
class Sent:
    """Bytes that left a party. `first`: never sent before. `at_s`: true time, Unix seconds. `finalized`: the height
    that was final on each chain then; `used`: how many sequences of the account were finally used. `process`: which of
    the party's processes sent them."""

    party: str
    chain: ChainId
    body: Body
    raw: bytes = field(repr=False)
    at_s: float
    first: bool
    heights: Mapping[ChainId, Height]
    finalized: Mapping[ChainId, Height]
    used: int
    process: int = 0

    @property
    def spent(self) -> bool:
        """True if their sequence was finally used before they left: no block can hold them."""
        return self.used > self.body.sequence


class Wire:
    """Every note of one story. `errors` counts what sending and simulating raised, by class."""

    def __init__(self, clock: Clock, chains: Mapping[ChainId, PlayedChain]) -> None:
        self.clock = clock
        self._chains = chains
        self._known: set[tuple[str, bytes]] = set()
        self.sent: list[Sent] = []
        self.shown: list[tuple[float, str, bytes]] = []
        """Bodies that were simulated or estimated: at what time, by whom."""
        self.logged: list[tuple[int, str]] = []
        """Log messages, each with how much had been sent by then; see `gateway.simulation.logbook`."""
        self.errors: Counter[str] = Counter()
        self.accepted: set[bytes] = set()
        """The transactions that an endpoint said it took."""
        self.refused_late_s: dict[tuple[str, bytes], float] = {}
        """When (Unix seconds) a party's endpoints first refused some bytes that no block behind the newest may hold."""
        self.heard: Callable[[Sent], None] = lambda sent: None
        """Is called with every note."""

    def tapped(self, party: str, access: ChainAccess, process: int = 0) -> ChainAccess:
        """The chain, with everything that is sent over it noted."""
        return replace(access, transactions=_Tap(self, party, process, access.chain, access.transactions))

    def note_refusal(self, party: str, chain: ChainId, raw: bytes) -> None:
        """Note that all who count for a party refuse these bytes, if they have expired at the newest block."""
        here = self._chains[chain]
        expiry = here.read(raw).expiry_height
        if expiry is not None and expiry <= here.height:
            self.refused_late_s.setdefault((party, raw), self.clock.now())

    def note(self, party: str, chain: ChainId, raw: bytes, process: int = 0) -> None:
        here = self._chains[chain]
        body = here.read(raw)
        first = (party, raw) not in self._known
        self._known.add((party, raw))
        sent = Sent(
            party,
            chain,
            body,
            raw,
            self.clock.now(),
            first,
            {name: one.height for name, one in self._chains.items()},
            {name: one.finalized_height for name, one in self._chains.items()},
            here.used(body.sender, here.finalized_height),
            process,
        )
        self.sent.append(sent)
        self.heard(sent)

    def firsts(self) -> list[Sent]:
        """Each party's every signed form once, in the order of first sendings."""
        return [sent for sent in self.sent if sent.first]

    def shared(self) -> Counter[str]:
        """Count by name the transactions of several locks, those that were signed again without some of them, and those
        that were cancelled."""
        counts: Counter[str] = Counter()
        held: dict[tuple[str, ChainId, str, int], int] = {}
        for sent in self.firsts():
            place = sent.party, sent.chain, sent.body.sender, sent.body.sequence
            locks, before = len(sent.body.locks), held.get(place, 0)
            counts["locks-together"] += locks > 1 and before == 0
            counts["lock-taken-out"] += 0 < locks < before
            counts["locks-cancelled"] += locks == 0 and before > 1
            held[place] = locks
        return counts


class _Tap:
    """A `TransactionSender` that notes what goes through it."""

    def __init__(self, wire: Wire, party: str, process: int, chain: ChainId, inner: TransactionSender) -> None:
        self._wire = wire
        self._party = party
        self._process = process
        self._chain = chain
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def submit(self, signed: SignedTransaction) -> None:
        self._wire.note(self._party, self._chain, signed.raw, self._process)
        try:
            await self._counted(self._inner.submit, signed)
        except RejectedError:
            self._wire.note_refusal(self._party, self._chain, signed.raw)
            raise
        self._wire.accepted.add(signed.raw)

    async def simulate(self, transaction: UnsignedTransaction, fee: FeeBid | None = None) -> None:
        self._wire.shown.append((self._wire.clock.now(), self._party, transaction.body))
        await self._counted(self._inner.simulate, transaction, fee)

    async def fitted(self, transaction: UnsignedTransaction, tries: int) -> UnsignedTransaction:
        if not transaction.reveals:  # those that reveal come back as they are, unseen by any endpoint
            self._wire.shown.append((self._wire.clock.now(), self._party, transaction.body))
        return await self._inner.fitted(transaction, tries)

    async def _counted(self, call: Callable[..., Any], *arguments: Any) -> None:
        try:
            await call(*arguments)
        except CausewayError as error:
            self._wire.errors[type(error).__name__] += 1
            raise
