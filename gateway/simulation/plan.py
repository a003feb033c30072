"""The plan of one seed. Drawn at once, before anything runs, so that it can be printed and read.

The faults of a plan stay inside what the protocol promises to bear (`TIMING`, `POLICY`, a minority of lying endpoints,
reorgs above the finalized block), but for those that its `rough` names: there nobody must lose money either, but swaps
need not complete.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from adapters.memory import FaultRates
from core.model.ports import ChainTiming
from core.model.types import ChainId, Seconds
from htlc.timelocks import SwapPolicy

A: Final = ChainId("memory:a")
B: Final = ChainId("causeway:b")
"""In a share of the towns the consortium ledger itself, a memory chain in the others."""
CHAINS: Final = (A, B)
LEDGER_SHARE: Final = 0.5
MIN_DEALS, MAX_DEALS = 14, 24
"""The fixed cost of a story is that of its blocks: the more swaps share it, the more are played."""
SMALL_TOWNS: Final = 1_000_000
"""Seeds from here on are of small towns, which are quickly played: few swaps, one provider, everybody comes early."""
MIN_FEW, MAX_FEW = 2, 4
"""How many swaps a small town has."""
SOONER: Final = 5
"""How many times earlier its swaps begin."""
MAX_RESTARTS: Final = 3

TIMING: Final = ChainTiming(
    block_time_s=Seconds(1),
    inclusion_s=Seconds(6),
    finality_s=Seconds(5),
    observation_s=Seconds(4),
    lead_s=Seconds(2),
    lag_s=Seconds(4),
)
"""The parties' beliefs about both chains. The faults of a plan stay inside them, but go near the edges."""
POLICY: Final = SwapPolicy(
    lock_s=Seconds(8), claim_s=Seconds(4), initiator_outage_s=Seconds(10), participant_outage_s=Seconds(14)
)
FINALITY_DEPTH: Final = 2
MAX_SKEW_S: Final = 2
MAX_BLOCK_TIME_S: Final = 2.0
MAX_PENDING_S: Final = 2.0
"""How long a block producer may leave a transaction lying: inclusion less a rebroadcast and two blocks."""
MAX_REORGS: Final = 5
MAX_SPIKE_BLOCKS: Final = 15
"""Full blocks in a row: enough to multiply the base fee by six (EIP-1559)."""
COME_BACK_S: Final = 5
"""The time that a process needs after an outage to start, follow and look at its transactions; part of R."""
AWAY_S: Final = 45.0
"""Far longer than a provider's outage may be: how long a database is gone or full, beyond what is promised."""
MIN_CLOCK_OFF_S, MAX_CLOCK_OFF_S = 22, 60
"""Beyond what a party takes for the age of a block: lag, inclusion and observation, next to the chain's own skew."""
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


WEIGHTS: Final = {
    Style.HONEST: 9,
    Style.NEVER_LOCKS: 1,
    Style.VANISHES: 1,
    Style.LAST_SECOND: 3,
    Style.LOCKS_TOO_LITTLE: 1,
    Style.LOCKS_TOO_SHORT: 1,
    Style.LOCKS_FOR_ANOTHER: 1,
    Style.LOCKS_LATE: 1,
    Style.DOUBLE_SPENDS: 1,
    Style.COPIED: 1,
}


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
RARE_COMMITS: Final = frozenset({"place", "account", "signature", "agreement", "store"})
COMMITS_OF: Final = {
    "relayer": tuple(kind for kind in COMMITS if kind != "store"),
    "dapp": tuple(kind for kind in COMMITS if kind != "agreement"),
    "tower": ("block", "fact", "cursor", "event", "row", "account", "progress", "agreement"),
}
SENDINGS: Final = ("lock", "claim", "other")
"""The kinds of effects."""


FORGETFUL: Final = frozenset({Rough.RESTORED, Rough.SWITCHED_BACK, Rough.EMPTIED})
"""After these a party may not know what it signed."""


class Act(StrEnum):
    """A transaction's act on a swap. FUND: the lock of a relayer, which is a LOCK, too."""

    LOCK = "lock"
    FUND = "fund"
    CLAIM = "claim"
    REFUND = "refund"


class Trouble(StrEnum):
    """A trouble that can be aimed at a transaction of a party; see `gateway.simulation.aims`."""

    SPIKED = "spiked"
    EVICTED = "evicted"
    REORGED = "reorged"
    PAUSED = "paused"
    STARVED = "starved"


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
MAX_AIMS: Final = 3
MAX_AIMS_AT_FUNDING: Final = 1
SOON: Final = 0.3
"""How much sooner than others something comes that takes long to be believed."""
UNDONE_SHARE: Final = 0.4
"""Of claims in the last second, those that a reorg takes out."""
FICKLE_SHARE: Final = 0.3
"""Of parties, those whose signer does not always answer, or not in words that anybody knows."""
MOODY_SHARE: Final = 0.15
"""Of parties, those whose endpoints now and then refuse what they took."""
PUBLIC_SHARE: Final = 0.5
"""Of cheats who would vanish or lock for another, those who publish their preimage instead, before they lock."""
NARROW_SHARE: Final = 0.3
"""Of towns, those whose relayers have little of what they pay out."""
BENDING_SHARE: Final = 0.2
"""Of towns, those whose relayers bend what they answer to an opening, now and then."""
LATE_WATCH_SHARE: Final = 0.5
"""Of watched swaps, those that are registered once both locks are there."""
SHORT_SHARE: Final = 0.05
"""Of towns, those that have relayers with a short purse, on top of those that are drawn like the others."""
EXPIRING_SHARE: Final = 0.3
"""Of towns, those in which a refund outlives its first form, where a memory chain has expiries."""
CLOCK_SHARE: Final = 0.06
"""Of towns, those in which one party's clock goes wrong."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Trouble for the `number`-th such act of any party, or the first one behind it that it can meet, for `for_s`."""

    trouble: Trouble
    act: Act
    number: int
    for_s: float


@dataclass(frozen=True, slots=True)
class Death:
    """A process ends at its `count`-th commit or broadcast of a kind, before or `after` it took effect, or at the
    second `at_s` of the story; it is back after `outage_s`."""

    outage_s: float
    commit: str | None = None
    sending: str | None = None
    count: int = 1
    after: bool = True
    at_s: float | None = None


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
    undone: bool = False
    """The block with a cheat's claim is replaced by one without it, if a reorg may still do that."""

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
    """From `at_s` on every block is full for `blocks` blocks: the base fee rises by an eighth each (EIP-1559)."""

    chain: ChainId
    at_s: float
    blocks: int


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
    moody: float = 0.0
    """The share of transactions that each of its endpoints refuses though it took them."""

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
    clock_off_s: int = 0
    """How far the clock of `clock_of` is off from the second `at_s` on, where a plan has that."""
    clock_of: str = ""

    @property
    def parties(self) -> list[Party]:
        return [*self.relayers, *self.dapps, *([self.tower] if self.tower else [])]


def draw(seed: int) -> Plan:
    """The plan of a seed."""
    source = random.Random(seed)
    rough = frozenset(one for one in Rough if one is not Rough.CLOCK_WRONG and source.random() < 0.04)
    count = source.choice((1, 1, 2))
    fees = frozenset(chain for chain in CHAINS if source.random() < 0.6)
    plan = Plan(
        seed=seed,
        deals=_deals(source, count, bool({Rough.PROVIDER_VANISHES, Rough.DATABASE_AWAY} & rough)),
        relayers=tuple(_party(source, f"relayer-{number}", POLICY.participant_outage_s) for number in range(count)),
        dapps=tuple(_party(source, f"dapp-{number}", POLICY.initiator_outage_s) for number in range(count)),
        tower=None,
        fees=fees,
        # A chain has fees or expiries, as Ethereum and the consortium chain have, now and then neither.
        expiries=frozenset(chain for chain in CHAINS if chain not in fees and source.random() < 0.8),
        batches=frozenset(chain for chain in CHAINS if source.random() < 0.6),
        block_time_s={chain: source.uniform(0.7, MAX_BLOCK_TIME_S) for chain in CHAINS},
        skew_s={chain: source.randint(-MAX_SKEW_S, MAX_SKEW_S) for chain in CHAINS},
        reorgs=_reorgs(source),
        spikes=_spikes(source, fees),
        rough=rough,
        strangers=frozenset(one for one in Stranger if source.random() < 0.1),
        repeats=frozenset(chain for chain in CHAINS if source.random() < 0.5),
        allowances=frozenset(chain for chain in CHAINS if source.random() < 0.4),
        stepwise=frozenset(chain for chain in CHAINS if source.random() < 0.4),
        early_refunds=source.random() < 0.5,
        attests=source.random() < 0.4,
        regulator=source.choice((None, None, True, False)),
        at_s={one: source.uniform(5, STORY_S) * (SOON if one is Rough.USED_ELSEWHERE else 1) for one in sorted(rough)},
        aims=(
            *_aims(random.Random(f"aims/{seed}"), AIMED, MAX_AIMS),
            *_aims(random.Random(f"aims at funding/{seed}"), AIMED_AT_FUNDING, MAX_AIMS_AT_FUNDING),
            *_starved_until_expired(random.Random(f"expiring/{seed}")),
        ),
        narrow=random.Random(f"narrow/{seed}").random() < NARROW_SHARE,
        bending=random.Random(f"bending/{seed}").random() < BENDING_SHARE,
    )
    plan = replace(plan, deals=_undone(random.Random(f"undone/{seed}"), plan.deals))
    plan = _with_moods(random.Random(f"moods/{seed}"), plan)
    if any(aim.trouble is Trouble.PAUSED and aim.act in (Act.LOCK, Act.FUND) for aim in plan.aims):
        # It takes a while to find out about a pause: slow blocks put as much between a lock and what follows it.
        plan = replace(plan, block_time_s=dict.fromkeys(CHAINS, MAX_BLOCK_TIME_S))
    if any(party.lie is Lie.PENDING for party in plan.parties):
        # What that lie is about has to come to pass: something that waits nowhere any more.
        # Where nothing is outbid: that would send it again.
        forgotten = tuple(Aim(Trouble.EVICTED, Act.LOCK, number, 0.0) for number in (1, 2, 3))
        plan = replace(plan, aims=(*plan.aims, *forgotten), fees=frozenset(), spikes=())
    if Rough.DATABASE_AWAY in rough:
        away = Outage(plan.at_s[Rough.DATABASE_AWAY], AWAY_S, full=source.random() < 0.5)
        failing = replace(plan.relayers[0], outages=(away,), deaths=())
        plan = replace(plan, relayers=(failing, *plan.relayers[1:]))
    if Rough.PROVIDER_VANISHES in rough or any(deal.watched for deal in plan.deals):
        tower = _party(source, "tower", POLICY.participant_outage_s)
        object.__setattr__(plan, "tower", tower)
    if random.Random(f"short/{seed}").random() < SHORT_SHARE:
        plan = replace(plan, rough=plan.rough | {Rough.SHORT_PURSE})
    if (clocks := random.Random(f"clock/{seed}")).random() < CLOCK_SHARE:
        plan = _with_wrong_clock(clocks, plan)
    if random.Random(f"ledger/{seed}").random() < LEDGER_SHARE:
        plan = _on_ledger(plan)
    return plan if seed < SMALL_TOWNS else _in_a_small_town(plan)


def _in_a_small_town(plan: Plan) -> Plan:
    """The beginning of the same story, with its first provider."""
    source = random.Random(f"small/{plan.seed}")
    first = plan.deals[: source.randint(MIN_FEW, MAX_FEW)]
    deals = tuple(replace(one, relayer=0, start_s=one.start_s / SOONER) for one in first)
    relayers, dapps = plan.relayers[:1], plan.dapps[:1]
    named = {one.name for one in (*relayers, *dapps)}
    return replace(
        plan,
        deals=deals,
        relayers=relayers,
        dapps=dapps,
        tower=plan.tower if Rough.PROVIDER_VANISHES in plan.rough or any(one.watched for one in deals) else None,
        clock_of=plan.clock_of if plan.clock_of in named else relayers[0].name if plan.clock_of else "",
    )


def _with_moods(source: random.Random, plan: Plan) -> Plan:
    """The same story with some endpoints' moods, some published preimages, and some late registrations."""

    def moody(party: Party) -> Party:
        return replace(party, moody=source.uniform(0.01, 0.06)) if source.random() < MOODY_SHARE else party

    def changed(deal: Deal) -> Deal:
        public = source.random() < PUBLIC_SHARE and deal.style in (Style.VANISHES, Style.LOCKS_FOR_ANOTHER)
        late = source.random() < LATE_WATCH_SHARE
        return replace(deal, public=public and not deal.watched, late_watch=late and deal.watched)

    return replace(
        plan,
        relayers=tuple(map(moody, plan.relayers)),
        dapps=tuple(map(moody, plan.dapps)),
        deals=tuple(map(changed, plan.deals)),
    )


def _with_wrong_clock(source: random.Random, plan: Plan) -> Plan:
    """The same story with a clock that is off by more than any chain's time may be."""
    return replace(
        plan,
        rough=plan.rough | {Rough.CLOCK_WRONG},
        at_s={**plan.at_s, Rough.CLOCK_WRONG: source.uniform(5, STORY_S)},
        clock_of=source.choice([party.name for party in (*plan.relayers, *plan.dapps)]),
        clock_off_s=source.choice((-1, 1)) * source.randint(MIN_CLOCK_OFF_S, MAX_CLOCK_OFF_S),
    )


def _on_ledger(plan: Plan) -> Plan:
    """The same story with the ledger for B, and with what befalls a ledger instead of what does not."""
    source = random.Random(f"restarts/{plan.seed}")
    return replace(
        plan,
        ledger=True,
        fees=plan.fees - {B},
        expiries=plan.expiries | {B},
        batches=plan.batches - {B},
        reorgs=tuple(one for one in plan.reorgs if one.chain != B),
        spikes=tuple(one for one in plan.spikes if one.chain != B),
        restarts=tuple(sorted(source.uniform(1, 2 * STORY_S) for _ in range(source.randint(0, MAX_RESTARTS)))),
    )


def _deals(source: random.Random, relayers: int, vanishes: bool) -> tuple[Deal, ...]:
    count = source.randint(MIN_DEALS, MAX_DEALS)
    styles = source.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=count)
    return tuple(
        Deal(
            number=number,
            first=source.choice(CHAINS),
            coin=source.random() < 0.6,
            amount=source.randint(100, 100_000) * 3 // 5,
            start_s=source.uniform(0, STORY_S) if source.random() < 0.6 else 1.0,
            style=style,
            relayer=source.randrange(relayers),
            watched=vanishes or source.random() < 0.2,
            before_timelock_s=source.uniform(1.5, 8.0),
            provider_dies=style is Style.LAST_SECOND and source.random() < 0.4,
        )
        for number, style in enumerate(styles)
    )


def _undone(source: random.Random, deals: tuple[Deal, ...]) -> tuple[Deal, ...]:
    """The same deals, of some of which the cheat's claim does not stay. None of those is watched: to a tower a swap in
    which one leg is claimed and the other refunded is lost, whoever lost it."""
    can = {deal.number for deal in deals if deal.style is Style.LAST_SECOND and not deal.watched}
    return tuple(replace(deal, undone=deal.number in can and source.random() < UNDONE_SHARE) for deal in deals)


def _party(source: random.Random, name: str, outage_s: float) -> Party:
    operators, kind = source.choice((1, 1, 3, 3, 5)), name.split("-", maxsplit=1)[0]
    trouble, longest_s = source.random(), outage_s - COME_BACK_S
    outage = Outage(source.uniform(2, 2 * STORY_S), source.uniform(1, longest_s), full=source.random() < 0.5)
    moods = random.Random(f"fickle/{name}/{outage.at_s}")
    return Party(
        name=name,
        operators=operators,
        lie=source.choice((*Lie, Lie.FROM_THE_PAST)) if operators > 1 and source.random() < 0.7 else None,
        rates=_rates(source),
        # One at a time: together they would be longer than what is promised.
        deaths=_deaths(source, kind, longest_s) if trouble < 0.6 else (),
        outages=(outage,) if trouble > 0.8 else (),
        locked=source.choice((0.0, 0.0, 0.01, 0.03)),
        liar=source.randrange(operators),
        fickle=moods.uniform(0.02, 0.1) if moods.random() < FICKLE_SHARE else 0.0,
    )


def _rates(source: random.Random) -> FaultRates:
    if source.random() < 0.4:
        return FaultRates()
    return FaultRates(
        error=source.uniform(0, 0.005),
        lost_reply=source.uniform(0, 0.2),
        latency_s=(0.0, source.choice((0.0, 0.02, 0.1))),
        repeat_head=source.uniform(0, 0.2),
        drop_head=source.uniform(0, 0.1),
        late_head=source.uniform(0, 0.1),
    )


def _deaths(source: random.Random, kind: str, longest_s: float) -> tuple[Death, ...]:
    outage_s, after = source.uniform(0, longest_s), source.random() < 0.5
    match source.choice(("commit", "commit", "commit", "sending", "time")):
        case "commit":
            commit = source.choice(COMMITS_OF[kind])
            count = source.randint(1, 3 if commit in RARE_COMMITS else 30)
            return (Death(outage_s, commit=commit, count=count, after=after),)
        case "sending":
            return (Death(outage_s, sending=source.choice(SENDINGS), count=source.choice((1, 1, 2)), after=after),)
        case _:
            return (Death(outage_s, at_s=source.uniform(2, 2 * STORY_S)),)


def _aims(source: random.Random, kinds: Sequence[tuple[Trouble, Act, float]], most: int) -> tuple[Aim, ...]:
    chosen = source.sample(kinds, source.randint(0, most))
    return tuple(
        Aim(trouble, act, source.randint(1, 4), source.uniform(most_s / 3, most_s)) for trouble, act, most_s in chosen
    )


def _starved_until_expired(source: random.Random) -> tuple[Aim, ...]:
    """In some towns the first refund that can expire waits for longer than its first form lasts."""
    return (Aim(Trouble.STARVED, Act.REFUND, 1, source.uniform(30, 60)),) if source.random() < EXPIRING_SHARE else ()


def _reorgs(source: random.Random) -> tuple[Reorg, ...]:
    count = source.choice((0, 0, 1, 2, MAX_REORGS))
    found = (
        Reorg(source.choice(CHAINS), source.uniform(1, 2 * STORY_S), source.randint(1, FINALITY_DEPTH), source.random())
        for _ in range(count)
    )
    return tuple(sorted(found, key=lambda reorg: reorg.at_s))


def _spikes(source: random.Random, fees: frozenset[ChainId]) -> tuple[Spike, ...]:
    return tuple(
        Spike(source.choice(sorted(fees)), source.uniform(1, 2 * STORY_S), source.randint(3, MAX_SPIKE_BLOCKS))
        for _ in range(source.choice((0, 1, 2)) if fees else 0)
    )
