"""The plan of one seed. Drawn at once, before anything runs, so that it can be printed and read.

The faults of a plan stay inside what the protocol promises to bear (`TIMING`, `POLICY`, a minority of lying endpoints,
reorgs above the finalized block), but for those that its `rough` names: there nobody must lose money either, but swaps
need not complete.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from adapters.memory import FaultRates
from core.model.ports import ChainTiming
from core.model.types import ChainId, Seconds
from gateway.simulation.plan_operators import Leading, Pricing, Rotation, Topped, Trading, Withdrawing
from htlc.timelocks import SwapPolicy

A: Final = ChainId("memory:a")
B: Final = ChainId("causeway:b")
"""In a share of the towns the consortium ledger itself, a memory chain in the others."""
CHAINS: Final = (A, B)
CROWDED_TOWNS: Final = 500_000
"""Seeds from here on are of towns like those before, to which many more people come; see `deals.with_a_crowd`."""
SMALL_TOWNS: Final = 1_000_000
"""Seeds from here on are of small towns, which are quickly played: few swaps, one provider, everybody comes early."""
RARE_TOWNS: Final = 2_000_000
"""Of these, the ones from here on are about one rare thing each; see `gateway.simulation.drawing.rare`."""

CALM_BASE_FEE: Final = 1_000
"""The price of a unit of gas where blocks are not full."""
CALM_TIP: Final = 100
"""The tip that blocks ask for there, if no other is drawn."""
TIMING: Final = ChainTiming(
    block_time_s=Seconds(1),
    inclusion_s=Seconds(6),
    finality_s=Seconds(5),
    observation_s=Seconds(4),
    lead_s=Seconds(2),
    lag_s=Seconds(4),
)
"""The parties' beliefs about either chain, if no others are drawn. The faults of a plan stay inside them, but go near
the edges."""
POLICY: Final = SwapPolicy(
    lock_s=Seconds(8), claim_s=Seconds(4), initiator_outage_s=Seconds(10), participant_outage_s=Seconds(14)
)
HOLD_S: Final = Seconds(20)
"""How long a provider keeps its part for an opening without a lock: longer than a lock may take."""
FINALITY_DEPTH: Final = 2
MAX_SKEW_S: Final = 2
MAX_BLOCK_TIME_S: Final = 2.0
MAX_PENDING_S: Final = 2.0
"""How long a block producer may leave a transaction lying: inclusion less a rebroadcast and two blocks."""
COME_BACK_S: Final = 5
"""The time that a process needs after an outage to start, follow and look at its transactions; part of R."""
AWAY_S: Final = 45.0
"""Far longer than a provider's outage may be: how long a database is gone or full, beyond what is promised."""
BEGAN_AT_S: Final = 1_700_000_000
"""The Unix time at which a story begins, if no other is drawn."""
STORY_S: Final = 40.0
"""In this time all swaps of a seed begin."""


class Style(StrEnum):
    """How the initiator of a swap behaves. HONEST runs a client; the others act by their own hands."""

    HONEST = "honest"
    NEVER_LOCKS = "never-locks"
    VANISHES = "vanishes"
    LAST_SECOND = "last-second"
    LOCKS_TOO_LITTLE = "locks-too-little"
    LOCKS_TOO_SHORT = "locks-too-short"
    LOCKS_FOR_ANOTHER = "locks-for-another"
    LOCKS_LATE = "locks-late"
    DOUBLE_SPENDS = "double-spends"
    COPIED = "copied"


class Doubt(StrEnum):
    """An honest initiator's change of mind behind the agreement: the lock or the reveal is called off, or the reveal is
    held back until its gate is about to close; or the swap is withdrawn from."""

    LOCK = "lock"
    REVEAL = "reveal"
    LATE = "late"
    CANCEL = "cancel"


class Lie(StrEnum):
    """A lying endpoint's answer, always the same."""

    HEADS_AND_LOCKS = "heads-and-locks"
    PENDING = "pending"
    INCLUDED = "included"
    HIGH_SEQUENCE = "high-sequence"
    LOW_SEQUENCE = "low-sequence"
    HIGH_FEE = "high-fee"
    LOW_FEE = "low-fee"
    REFUSES = "refuses"
    REFUSES_ALL = "refuses-all"
    MALFORMED = "malformed"
    FROM_THE_PAST = "from-the-past"
    HANGS = "hangs"
    FINAL = "final"
    RICH = "rich"
    POOR = "poor"
    ADDS = "adds"
    """In its blocks whatever is locked has come back at once."""
    DROPPED = "dropped"
    """It has never heard of any transaction."""
    BRANCH = "branch"
    """It has a memory chain of its own, in which everything fits together; see `Branching`. Of a ledger it says what is
    true."""


class Twist(StrEnum):
    """A twist that only a liar's own branch shows. LOCKED: whatever was agreed on is locked there, at once. GIVEN_BACK:
    whatever is locked is given back there. EMPTY: nothing that anybody sends is in its blocks."""

    LOCKED = "locked"
    GIVEN_BACK = "given-back"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Branching:
    """The branch of a liar parts from the true chain at `at_s` (seconds of the story). `faster`: the share of true
    blocks for which it has two."""

    at_s: float
    twist: Twist
    faster: float


class Rough(StrEnum):
    """A fault beyond the promised bounds: no loss all the same, but no swap has to complete."""

    FINALITY_STALLS = "finality-stalls"
    SHORT_PURSE = "short-purse"
    TOKEN_PAUSES = "token-pauses"
    USED_ELSEWHERE = "used-elsewhere"
    RESTORED = "restored"
    PROVIDER_VANISHES = "provider-vanishes"
    PAYEE_REFUSED = "payee-refused"
    INITIATOR_OVERSLEEPS = "initiator-oversleeps"
    SWITCHED_BACK = "switched-back"
    EMPTIED = "emptied"
    TWO_PROCESSES = "two-processes"
    DEEP_REORG = "deep-reorg"
    TOKEN_TAKES_FEES = "token-takes-fees"
    DATABASE_AWAY = "database-away"
    CLOCK_WRONG = "clock-wrong"
    OPERATOR_PAUSES = "operator-pauses"
    FROM_CHAIN = "from-chain"
    STORE_RESTORED = "store-restored"
    CHAIN_STANDS = "chain-stands"


COMMITS: Final = {
    "block": ("indexer_blocks",),
    "fact": ("indexer_events",),
    "cursor": ("cursors",),
    "event": ("journal",),
    "effect": ("outbox",),
    "row": ("relayer_swaps",),
    "place": ("relayer_locks",),
    "account": ("relayer_accounts", "leases"),
    "signature": ("relayer_transaction_attempts",),
    "progress": ("relayer_transactions",),
    "agreement": ("indexer_agreements",),
    "store": ("client_swaps",),
}
"""The kinds of commits, by the tables of which each writes one."""
COMMITS_OF: Final = {
    "relayer": tuple(kind for kind in COMMITS if kind != "store"),
    "dapp": tuple(kind for kind in COMMITS if kind != "agreement"),
    "tower": ("block", "fact", "cursor", "event", "row", "account", "progress", "agreement"),
}
SENDINGS: Final = ("lock", "claim", "other")
"""The kinds of effects."""


FORGETFUL: Final = frozenset(
    {Rough.RESTORED, Rough.SWITCHED_BACK, Rough.EMPTIED, Rough.FROM_CHAIN, Rough.STORE_RESTORED}
)
"""After these a party may not know what it signed."""


class Act(StrEnum):
    """A transaction's act on a swap. FUND: the lock of a relayer, which is a LOCK, too. BATCH: several exits in one.
    PAYMENT: a withdrawal, which is about no swap."""

    LOCK = "lock"
    FUND = "fund"
    CLAIM = "claim"
    REFUND = "refund"
    BATCH = "batch"
    PAYMENT = "payment"


class Trouble(StrEnum):
    """A trouble that can be aimed at a transaction of a party; see `gateway.simulation.aims`."""

    SPIKED = "spiked"
    EVICTED = "evicted"
    REORGED = "reorged"
    PAUSED = "paused"
    STARVED = "starved"
    UNDONE = "undone"


AIMED: Final = (
    (Trouble.SPIKED, Act.LOCK, 80.0),
    (Trouble.SPIKED, Act.CLAIM, 100.0),
    (Trouble.EVICTED, Act.LOCK, 0.0),
    (Trouble.EVICTED, Act.CLAIM, 0.0),
    (Trouble.EVICTED, Act.REFUND, 0.0),
    (Trouble.REORGED, Act.LOCK, 0.0),
    (Trouble.REORGED, Act.CLAIM, 0.0),
    (Trouble.REORGED, Act.REFUND, 0.0),
    (Trouble.PAUSED, Act.LOCK, 20.0),
    (Trouble.PAUSED, Act.CLAIM, 60.0),
    (Trouble.PAUSED, Act.REFUND, 30.0),
    (Trouble.STARVED, Act.LOCK, 25.0),
    (Trouble.STARVED, Act.REFUND, 40.0),
)
"""Every trouble with what it is aimed at, and for how many seconds at most it lasts."""
AIMED_AT_FUNDING: Final = (
    (Trouble.SPIKED, Act.FUND, 80.0),
    (Trouble.EVICTED, Act.FUND, 0.0),
    (Trouble.REORGED, Act.FUND, 0.0),
    (Trouble.PAUSED, Act.FUND, 30.0),
    (Trouble.STARVED, Act.FUND, 45.0),
)


@dataclass(frozen=True, slots=True)
class Aim:
    """Trouble for the `number`-th such act of any party, or the first one behind it that it can meet, for `for_s`."""

    trouble: Trouble
    act: Act
    number: int
    for_s: float


class Meanwhile(StrEnum):
    """An event while a signer is at work. TIME: the gate of the act closes. PAUSE: the operator pauses
    everything. WORD: the preimage becomes public. FALL: the process that asked for the signature loses the lead."""

    TIME = "time"
    PAUSE = "pause"
    WORD = "word"
    FALL = "fall"


@dataclass(frozen=True, slots=True)
class Signing:
    """The signer of `party` takes long over its `number`-th such act, a LOCK, a CLAIM or a REFUND; if `again`, over
    another form of it. `for_s`: how long, unless it is about the gate, which has closed then."""

    party: str
    act: Act
    number: int
    for_s: float
    meanwhile: Meanwhile
    again: bool = False


@dataclass(frozen=True, slots=True)
class Death:
    """A process ends at its `count`-th commit or broadcast of a kind, before or `after` it took effect, or at the
    second `at_s` of the story; it is back after `outage_s`. `alone`: only commits count in which no swap takes an event
    in."""

    outage_s: float
    commit: str | None = None
    sending: str | None = None
    count: int = 1
    after: bool = True
    at_s: float | None = None
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Outage:
    """From the second `at_s` on a process's database is gone, or its disk is `full`."""

    at_s: float
    lasts_s: float
    full: bool


class Stranger(StrEnum):
    """An act of people without a part in any swap."""

    SAME_LOCK_AGAIN = "same-lock-again"
    BOGUS_WATCHES = "bogus-watches"
    EMPTY_OPENS = "empty-opens"
    WATCHED_DUST = "watched-dust"


@dataclass(frozen=True, slots=True)
class Deal:
    """One swap that somebody wants, from `first` to the other chain, beginning at `start_s`.

    `coin` False takes the chains' tokens. `before_timelock_s`: how early before T_B a cheat claims, or how much too
    late a cheat locks. `provider_dies`: the provider's power fails right before a cheat's claim. `watched`: the tower
    is asked to watch.
    """

    number: int
    first: ChainId
    coin: bool
    amount: int
    start_s: float
    style: Style
    relayer: int
    watched: bool
    before_timelock_s: float
    provider_dies: bool
    public: bool = False
    """The cheat claims a lock of its own under the hashlock before it locks."""
    late_watch: bool = False
    """Watched from when both locks are there, not from the agreement on."""
    twice: bool = False
    """The cheat locks under the same terms once more, when the provider has locked; a reorg takes that lock out."""
    blabs: bool = False
    """The cheat publishes its preimage once the provider's lock has left, together with others."""
    blabs_late: bool = False
    """And so late that the provider's gate closes just then: `before_timelock_s` before that."""
    shows: bool = False
    """The cheat publishes its preimage once the provider's lock stands, and the provider's power fails right before."""
    signals: bool = False
    """The cheat publishes its preimage as soon as the provider's signer begins to take its time over the swap."""
    leaks: bool = False
    """Somebody gets hold of the preimage, and claims the cheat's lock for the provider once it is final."""
    undone: bool = False
    """The block with a cheat's claim is replaced by one without it, if a reorg may still do that."""
    gives_as: int | None = None
    is_paid_as: int | None = None
    """The number of the cheat whose account they lock from, or are paid at, if that is not their own."""
    brief: bool = False
    """The copies that a stranger locks under its hashlock are taken back while it is open."""
    doubt: Doubt | None = None
    doubt_s: float = 0.0
    """How long behind the agreement the initiator withdraws, or before the gate closes they go on."""

    @property
    def gets_out(self) -> bool:
        """True if the preimage becomes public otherwise than by a claim of the second lock."""
        return self.public or self.blabs or self.shows or self.signals or self.leaks

    @property
    def giver(self) -> str:
        """The cheat that owns the account which locks."""
        return f"cheat-{self.number if self.gives_as is None else self.gives_as}"

    @property
    def payee(self) -> str:
        """The cheat that owns the account which is paid."""
        return f"cheat-{self.number if self.is_paid_as is None else self.is_paid_as}"

    @property
    def second(self) -> ChainId:
        return B if self.first == A else A


@dataclass(frozen=True, slots=True)
class Reorg:
    """`at_s` seconds into the story the newest `depth` blocks go; of their transactions a share returns."""

    chain: ChainId
    at_s: float
    depth: int
    returning: float


@dataclass(frozen=True, slots=True)
class Spike:
    """From `at_s` on every block is full for `blocks` blocks: the base fee rises by an eighth each (EIP-1559). For
    `half` more blocks they are half full, and it stays."""

    chain: ChainId
    at_s: float
    blocks: int
    half: int = 0


@dataclass(frozen=True, slots=True)
class Party:
    """One process: its endpoints (operators, one of which may lie on either chain) and the ways in which it fails."""

    name: str
    operators: int
    lie: Lie | None
    rates: FaultRates
    deaths: tuple[Death, ...] = ()
    locked: float = 0.0
    """The share of accesses to the database that find it locked."""
    liar: int = 1
    """Which operator lies, if one does; the first is the one that is asked first."""
    outages: tuple[Outage, ...] = ()
    fickle: float = 0.0
    """The share of requests that its signer answers with an error of an unknown kind."""
    hides: bool = False
    """One of its operators (`liar`) shows a memory chain's blocks without anything that happened in them."""
    moody: float = 0.0
    """The share of transactions that each of its endpoints refuses though it took them."""
    branching: Branching | None = None
    """The branch that one of its operators (`liar`) has, if that is its lie."""
    lags_s: float = 0.0
    """For how long its endpoints know nothing of a transaction that a block holds, and count its sequence. Now and then
    they do not say if one waits."""

    behind: float = 0.0
    """The share of answers that comes from a node of an endpoint's which is a block behind the others."""
    picky: bool = False
    """None of its endpoints takes a transaction that settles several locks."""
    silent_s: float = 0.0
    """The seconds for which none of its endpoints but the first answers, once its lock has left for every swap."""
    unheard: float = 0.0
    """The share of commits that its database makes, and of which it never hears: the connection is lost before the
    answer comes."""

    @property
    def is_calm(self) -> bool:
        """True if nothing that it stands on is slow, or fails."""
        steady = not (self.fickle or self.moody or self.locked or self.lags_s or self.behind)
        answered = not (self.silent_s or self.picky or self.unheard)
        return self.rates == FaultRates() and self.lie is None and steady and answered

    def steady(self) -> "Party":
        """Return the same party, which neither dies nor loses its database, and whose signers work."""
        return replace(self, deaths=(), outages=(), locked=0.0, fickle=0.0)

    def full_at(self, at_s: float) -> bool:
        """Return true if the disk is full then, or was shortly before: what that ended ends a little later."""
        return any(one.full and one.at_s <= at_s <= one.at_s + one.lasts_s + COME_BACK_S for one in self.outages)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a run depends on apart from the code. Each relayer has a dApp of its own."""

    seed: int
    deals: tuple[Deal, ...]
    relayers: tuple[Party, ...]
    dapps: tuple[Party, ...]
    tower: Party | None
    fees: frozenset[ChainId]
    expiries: frozenset[ChainId]
    batches: frozenset[ChainId]
    block_time_s: dict[ChainId, float]
    skew_s: dict[ChainId, int]
    reorgs: tuple[Reorg, ...]
    spikes: tuple[Spike, ...]
    rough: frozenset[Rough]
    strangers: frozenset[Stranger] = frozenset()
    repeats: frozenset[ChainId] = frozenset()
    """The chains on which the place of a settled lock may be used again, as an EVM contract's may."""
    allowances: frozenset[ChainId] = frozenset()
    """The chains whose token lets a lock take no more than was allowed before."""
    stepwise: frozenset[ChainId] = frozenset()
    """Of these, the ones on which an allowance is used up, and has to be zero before it is raised."""
    early_refunds: bool = False
    """The relayers give back what was locked in vain, before its timelock, if the chain knows that."""
    attests: bool = False
    """Relayers are validators, too, and vote for blocks of the other chain if that costs no fee."""
    regulator: bool | None = None
    """Agreements are reported to one who takes some of them, or none (False); None: to nobody."""
    at_s: dict[Rough, float] = field(default_factory=dict)
    """When each of the rough things begins."""
    ledger: bool = False
    """B is the consortium ledger: no fees, no batches, no reorgs, and every transaction expires."""
    restarts: tuple[float, ...] = ()
    """Seconds of the story at which the ledger's validator starts again, and what waits there is lost."""
    aims: tuple[Aim, ...] = ()
    narrow: bool = False
    """The relayers hold little of every asset that pays no fees, for a few swaps at a time."""
    bending: bool = False
    """The relayers' answers to openings are not always as quoted."""
    purse: int | None = None
    """The content of a relayer's short purse, in base units of each asset, where that is to be so much."""
    replaced: ChainId | None = None
    """The chain of which finalized blocks are replaced, where that is to be one in particular."""
    paused: ChainId | None = None
    """The chain whose token pauses, where that is to be one in particular."""
    stalled: ChainId | None = None
    """The chain on which nothing becomes final for a while, where that is to be one in particular."""
    clock_off_s: int = 0
    """How far the clock of `clock_of` is off from the second `at_s` on, where a plan has that."""
    clock_of: str = ""
    withdrawals: tuple[Withdrawing, ...] = ()
    leading: Leading | None = None
    signing: Signing | None = None
    pricing: Pricing | None = None
    trading: Trading | None = None
    """The terms of fixed prices, if they are not the plain ones."""
    watchful: bool = False
    """The relayers' guards look though nothing rough is to come."""
    used_again: bool = False
    """The operator acknowledges what the relayer's keys were used for elsewhere, and uses them once more."""
    looked_into: bool = False
    """The operator acknowledges what the relayer's keys were used for elsewhere, and that was all."""
    topped: Topped | None = None
    rotation: Rotation | None = None
    tip: int = CALM_TIP
    """The tip, in base units for a unit of gas, that blocks ask for which are not crowded."""
    began_at_s: int = BEGAN_AT_S
    """The Unix time at which the story begins."""
    ceiling: int | None = None
    """The most that parties offer for a unit of gas, by their policies; None for more than any chain asks for."""
    timing: dict[ChainId, ChainTiming] = field(default_factory=lambda: dict.fromkeys(CHAINS, TIMING))
    """The bounds that everybody believes of each chain; never less than `TIMING`."""

    @property
    def guarded(self) -> bool:
        """True if guards look: what they look at costs as much as everything else, and mostly shows nothing."""
        return self.watchful or bool(self.rough)

    @property
    def uneven(self) -> bool:
        """True if the chains are not believed to be alike."""
        return len({*self.timing.values()}) > 1

    @property
    def is_crowded(self) -> bool:
        """True for a town to which very many people come."""
        return CROWDED_TOWNS <= self.seed < SMALL_TOWNS

    @property
    def small(self) -> bool:
        """True for a small town."""
        return self.seed >= SMALL_TOWNS

    @property
    def is_rare(self) -> bool:
        """True for a town that is about one rare thing."""
        return self.seed >= RARE_TOWNS

    @property
    def is_calm(self) -> bool:
        """True if nothing that anybody trades by is slow, or fails."""
        return all(one.is_calm for one in (*self.relayers, *self.dapps))

    @property
    def parties(self) -> list[Party]:
        return [*self.relayers, *self.dapps, *([self.tower] if self.tower else [])]
