"""Two chains that produce blocks: transactions wait, blocks are replaced, clocks differ, finality stalls.

Every party sees them through endpoints of its own, some of which lie; `Wire` notes what each party sends.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Final

from adapters.endpoints import Member, combine
from adapters.memory import Endpoint, MemoryRules, MemorySigner
from adapters.memory.ledger import Allowances
from core.model.facts import hashlock_of
from core.model.ports import BridgeBuilder, ChainAccess, Signer
from core.model.transactions import FeeMarket
from core.model.types import AccountId, Asset, AssetId, BlockRef, ChainId, Hashlock, Height, LockTerms
from core.runtime.clock import SeededSecrets, VirtualClock
from gateway.simulation.aims import Aims, is_paused
from gateway.simulation.branches import Branch
from gateway.simulation.chains import PlayedChain, PlayedMemory
from gateway.simulation.history import History
from gateway.simulation.ledger import PlayedLedger, Settings, Skewed
from gateway.simulation.liars import balanced, lagging, lying, moody, picky
from gateway.simulation.plan import (
    CALM_BASE_FEE,
    CALM_TIP,
    CHAINS,
    FINALITY_DEPTH,
    MAX_PENDING_S,
    A,
    B,
    Branching,
    Lie,
    Party,
    Plan,
    Reorg,
    Rough,
    Signing,
    Spike,
)
from gateway.simulation.regulator import Posted
from gateway.simulation.wire import Wire

PURSE: Final = 10**15
CALM_FEES: Final = FeeMarket(CALM_BASE_FEE, CALM_TIP)
COIN: Final[Mapping[ChainId, AssetId]] = {A: AssetId(f"{A}/slip44:1"), B: AssetId(f"{B}/asset:cb")}
TOKEN: Final[Mapping[ChainId, AssetId]] = {A: AssetId(f"{A}/asset:ta"), B: AssetId(f"{B}/asset:tb")}
FIRST: Final = {A: Height(0), B: Height(1)}
"""The first block of each chain, or a little later."""
GAS: Final = 100
"""The gas of a transaction."""
STALL_S: Final = 30.0
"""How long finality stands still, if a plan has it; sometimes twice that: then relayers notice, and offer nothing."""
NODES: Final = (Settings.FULL, Settings.FULL, Settings.NO_INDEX, Settings.NO_RESULTS)
"""The settings of the ledger's nodes, each as often as it stands here."""
A_MOMENT_S: Final = 0.1
MAX_BELOW_FINAL: Final = 5
"""How many finalized blocks a deep reorg replaces at most."""
MOST_SKIPPED: Final = 3
"""The most blocks that a chain skips one after the other."""
MOODIER: Final = 8
"""How many times as often as anything else a moody endpoint refuses a lock."""
VOTES_FAIL: Final = 0.3
"""The share of questions about votes that an endpoint does not answer."""
RETURNING: Final = 0.6
"""The share of their transactions that comes back."""
UNREACHABLE: Final = 10_000_000
"""A depth that no block of a story has on top."""


@dataclass(frozen=True, slots=True)
class DeepReorg:
    """At `at_s` (Unix time) everything above the block at `fork` was replaced, finalized blocks among it. `final_s`:
    when the lowest of them had become final."""

    at_s: float
    fork: Height
    final_s: float


@dataclass(frozen=True, slots=True)
class AtWork:
    """The signer of a party was at work on these swaps, from when until when (Unix seconds)."""

    party: str
    hashlocks: frozenset[Hashlock]
    since_s: float
    until_s: float


class World:
    """The chains and what is done to them. `seconds` is the story's own time."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clock = VirtualClock(plan.began_at_s)
        self.random = random.Random(f"world/{plan.seed}")
        self.faults: Counter[str] = Counter()
        self.memory = {chain: self._memory(chain) for chain in CHAINS if chain != B or not plan.ledger}
        self.ledger = self._ledger() if plan.ledger else None
        self.chains: dict[ChainId, PlayedChain] = {**self.memory, **({B: self.ledger} if self.ledger else {})}
        self.histories = {name: History(chain, self.clock) for name, chain in self.chains.items()}
        self.wire = Wire(self.clock, self.chains)
        self.signers: dict[tuple[str, ChainId], Signer] = {}
        self.endpoints: list[Endpoint] = []
        self.agreed: list[LockTerms] = []
        """The terms of every leg that was agreed on so far: a liar may know of them."""
        self._branches: dict[tuple[str, ChainId], Branch] = {}
        self._silenced: list[tuple[Party, Endpoint]] = []
        """Endpoints of parties that will not answer for a while."""
        self._issues: list[tuple[Height, Mapping[AssetId, int]]] = []
        self.dearest = {chain: CALM_FEES.base_fee if chain in plan.fees else 0 for chain in CHAINS}
        """The highest base fee that each chain has seen."""
        self._base_fees = {chain: [(0.0, CALM_FEES.base_fee)] for chain in CHAINS if chain in plan.fees}
        """From when on (Unix seconds) which base fee held."""
        self.reorged: list[tuple[ChainId, float]] = []
        """Which chain was reorganised, and when in the story."""
        self.blocked: list[tuple[AssetId, AccountId | None, float, float]] = []
        """Which asset reached nobody, or not this account, from when until when (Unix seconds)."""
        self.stalled: list[tuple[ChainId, float, float]] = []
        """Which chain made nothing final, from when until when (Unix seconds)."""
        self.posted: list[Posted] = []
        """Everything that webhooks got."""
        self.deep: dict[ChainId, DeepReorg] = {}
        self.undone: set[Hashlock] = set()
        """Of swaps of which something happened in a finalized block that was replaced."""
        self.refused_s: dict[tuple[str, bytes], float] = {}
        """When (Unix seconds) so many of a party's operators had refused some bytes, which they took, that it had to
        believe them."""
        self._refusing: dict[tuple[str, bytes], set[int]] = {}
        self._patience: dict[object, float] = {}
        self.late: dict[object, tuple[float, float]] = {}
        """Which places (account and sequence) blocks left lying, from when until when, in seconds of the story."""
        self.at_work: list[AtWork] = []
        """Whose signer took its time, and when."""
        self.closes: Callable[[Signing, Hashlock], float | None] = lambda signing, hashlock: None
        """Return when (Unix seconds) the gate of that act on this swap closes, None if nobody knows."""
        self.lull: Callable[[], bool] = lambda: False
        """Return true while blocks may be skipped."""
        self._skipped: Counter[ChainId] = Counter()
        self._stands: dict[ChainId, tuple[float, float]] = {}
        self.aims = Aims(plan.aims, self.clock, self.memory, self.faults, self.reorged, self.blocked, plan.tip)
        self.wire.heard = self.aims.heard

    def _ledger(self) -> PlayedLedger:
        return PlayedLedger(B, Skewed(self.clock, self.plan.skew_s[B]), _assets(B), self.plan.timing[B], self.faults)

    def _memory(self, chain: ChainId) -> PlayedMemory:
        rules = MemoryRules(
            self.plan.timing[chain],
            FINALITY_DEPTH,
            self.plan.skew_s[chain],
            native=COIN[chain] if chain in self.plan.fees else None,
            fees=replace(CALM_FEES, priority_fee=self.plan.tip) if chain in self.plan.fees else None,
            gas=GAS,
            knows_expiry=chain in self.plan.expiries,
            batches=chain in self.plan.batches,
            lock_ids_repeat=chain in self.plan.repeats,
            allowances=Allowances(
                frozenset({TOKEN[chain]} if chain in self.plan.allowances else ()),
                frozenset({TOKEN[chain]} if chain in self.plan.stepwise else ()),
            ),
            early_refunds=self.plan.early_refunds,
            attestors={MemorySigner(chain, one.name).account: 1 for one in self.plan.relayers[:1]},
        )
        return PlayedMemory(chain, self.clock, _assets(chain), rules)

    @property
    def seconds(self) -> float:
        return self.clock.monotonic()

    def secrets(self, name: str) -> SeededSecrets:
        """The randomness of this person in this story, shared with nobody."""
        return SeededSecrets(random.Random(f"{name}/{self.plan.seed}").getrandbits(64))

    def signer(self, name: str, chain: ChainId, purse: Mapping[AssetId, int] | None = None) -> Signer:
        """The account of that name, with a purse, opened on first use."""
        known = self.signers.get((name, chain))
        if known is None:
            held = {COIN[chain]: PURSE, TOKEN[chain]: PURSE} if purse is None else purse
            known = self.signers[name, chain] = self.chains[chain].signer(name, held)
            self._issues.append((self.chains[chain].height, held))
        return known

    def issued(self, chain: ChainId, asset: AssetId) -> int:
        """How much of an asset there is: what was given to accounts before the newest block."""
        return sum(held.get(asset, 0) for height, held in self._issues if height < self.chains[chain].height)

    def access(self, party: Party, chain: ChainId, process: int = 0) -> ChainAccess:
        """The chain as this process of a party sees it, through its own endpoints, with what it sends noted."""
        members = []
        # An operator that lies about locks has two endpoints, which are one voice.
        numbers = [*range(party.operators), *([party.liar] if party.lie is Lie.HEADS_AND_LOCKS else [])]
        for number in numbers:
            hides = party.hides and number == party.liar
            rates = replace(party.rates, late_events=1.0, late_events_s=inf) if hides else party.rates
            endpoint = Endpoint(self.clock, self.random.getrandbits(48), rates)
            self.endpoints.append(endpoint)
            if party.silent_s and number > 0:
                self._silenced.append((party, endpoint))
            member = self._member(chain, f"operator-{number}", endpoint, party if number == party.liar else None)
            if party.lie is not None and number == party.liar:
                member = lying(member, party.lie, endpoint, self.faults, party.name)
            if party.lags_s:
                member = lagging(member, party.lags_s, self.clock)
            if party.behind:
                nodes = random.Random(f"{party.name}/{chain}/{number}/{process}/{self.plan.seed}/nodes")
                member = balanced(member, endpoint, party.behind, nodes, self.faults)
            if party.picky:
                member = picky(member, partial(self._settles_several, chain), self.faults)
            if party.moody:
                moods = random.Random(f"{party.name}/{chain}/{number}/{self.plan.seed}/moods")
                refused = partial(self._take_and_refuse, chain, party, number)
                member = moody(member, partial(self._mood, chain, party), moods, refused)
            members.append(member)
        return self.wire.tapped(party.name, combine(members), process)

    def _settles_several(self, chain: ChainId, raw: bytes) -> bool:
        return len(self.chains[chain].read(raw).settles) > 1

    def _mood(self, chain: ChainId, party: Party, raw: bytes) -> float:
        """The share of such bytes that a moody endpoint refuses: of locks, which are few, more."""
        return party.moody * (MOODIER if self.chains[chain].read(raw).locks else 1)

    def _take_and_refuse(self, chain: ChainId, party: Party, number: int, raw: bytes) -> None:
        """An endpoint took these bytes and said that it did not: a lock may be given up for that."""
        self.faults["took-and-refused"] += 1
        voices = self._refusing.setdefault((party.name, raw), set())
        voices.add(number)
        if len(voices) > party.operators // 2:
            self.refused_s.setdefault((party.name, raw), self.clock.now())
        self.aims.disturbed |= {terms.hashlock for terms in self.chains[chain].read(raw).locks}

    def took_and_refused(self, party: str, raw: bytes) -> bool:
        """True if an endpoint of this party took these bytes and said that it did not."""
        return (party, raw) in self._refusing

    def bridge(self, party: Party) -> tuple[ChainId, BridgeBuilder] | None:
        """The bridge by which this party votes for the other chain's blocks, through an endpoint that often fails; or
        None."""
        free = [chain for chain in CHAINS if chain in self.memory and chain not in self.plan.fees]
        if not self.plan.attests or not free:
            return None
        endpoint = Endpoint(self.clock, self.random.getrandbits(48), replace(party.rates, error=VOTES_FAIL))
        self.endpoints.append(endpoint)
        return free[0], self.memory[free[0]].bridge(endpoint)

    def _member(self, chain: ChainId, operator: str, endpoint: Endpoint, liar_of: Party | None) -> Member:
        """One operator's endpoint; `liar_of`: whose liar that is, None for all others."""
        if liar_of is not None and liar_of.branching is not None and chain in self.memory:
            return self._branch(chain, liar_of.name, liar_of.branching).member(operator, endpoint)
        if self.ledger is None or chain != B:
            return self.chains[chain].member(operator, endpoint)
        settings = self.random.choice(NODES)
        self.faults[f"ledger-node-{settings}"] += 1
        return self.ledger.member(operator, endpoint, settings)

    def _branch(self, chain: ChainId, party: str, branching: Branching) -> Branch:
        """The chain as this party's liar has it, the same for all its processes."""
        if (known := self._branches.get((party, chain))) is None:
            source = random.Random(f"{party}/{chain}/{self.plan.seed}/branch")
            known = Branch(self.memory[chain], branching, self.clock.monotonic, self.agreed, source, self.faults)
            self._branches[party, chain] = known
        return known

    def is_invented(self, party: str, block: BlockRef) -> bool:
        """Return true for a block that one endpoint of this party's has on a branch of its own, and its chain never
        had."""
        branch = self._branches.get((party, block.chain))
        return branch is not None and branch.has(block) and not self.histories[block.chain].had(block)

    async def run(self) -> None:
        """Blocks, reorgs and what else befalls the chains, for ever."""
        async with asyncio.TaskGroup() as group:
            for chain in self.memory.values():
                group.create_task(self._produce(chain), name=f"blocks of {chain.chain}")
                group.create_task(self._follow(chain), name=f"history of {chain.chain}")
            if self.ledger is not None:
                group.create_task(self._commit(self.ledger), name=f"blocks of {B}")
                group.create_task(self._restart(self.ledger), name=f"restarts of {B}")
            for reorg in self.plan.reorgs:
                group.create_task(self._reorganise(reorg), name=f"reorg of {reorg.chain}")
            for party, endpoint in self._silenced:
                group.create_task(self._silence(party, endpoint), name=f"an endpoint of {party.name} falls silent")
            if Rough.FINALITY_STALLS in self.plan.rough:
                stalled = B if self.ledger is not None else self.plan.stalled or self.random.choice(CHAINS)
                group.create_task(self._stall(stalled), name="stall")
            if Rough.DEEP_REORG in self.plan.rough:
                replaced = self.plan.replaced or self.random.choice(self._with_tokens)
                group.create_task(self._reorganise_deeply(replaced), name="deep reorg")
            if Rough.TOKEN_TAKES_FEES in self.plan.rough:
                group.create_task(self._take_fees(self.random.choice(self._with_tokens)), name="fees of a token")
            if Rough.TOKEN_PAUSES in self.plan.rough:
                paused = self.plan.paused or self.random.choice(self._with_tokens)
                group.create_task(self._pause(paused), name="pause")

    async def _silence(self, party: Party, endpoint: Endpoint) -> None:
        """Once a lock of this party has left for every swap, its endpoint does not answer for a while."""
        while not self._has_locked_everywhere(party.name):
            await self.clock.sleep(A_MOMENT_S)
        endpoint.down = True
        self.faults["fell-silent"] += 1
        await self.clock.sleep(party.silent_s)
        endpoint.down = False

    def _has_locked_everywhere(self, name: str) -> bool:
        locked = {terms.hashlock for one in self.wire.sent if one.party == name for terms in one.body.locks}
        return len(locked) == len(self.plan.deals)

    def refuse(self, name: str) -> None:
        """From now on the coin of one chain does not reach this party: a blacklist, or a payee that takes nothing."""
        chain = self.random.choice(self._with_tokens)
        account = self.signers[name, chain].account
        self.memory[chain].tokens.refused.add((COIN[chain], account))
        self.blocked.append((COIN[chain], account, self.clock.now(), inf))
        self.faults["payee-refused"] += 1

    @property
    def _with_tokens(self) -> list[ChainId]:
        """Chains whose tokens pause and refuse; nothing on the ledger does."""
        return [chain for chain in CHAINS if chain in self.memory]

    async def _follow(self, chain: PlayedMemory) -> None:
        """Have the chain's history look whenever anybody has changed it."""
        while True:
            changed = chain.changed
            self.histories[chain.chain].look()
            await changed.wait()

    async def _commit(self, ledger: PlayedLedger) -> None:
        mean_s = self.plan.block_time_s[B]
        while True:
            await self.clock.sleep(self.random.uniform(0.5, 1.5) * mean_s)
            if not self._skips(B):
                ledger.produce(self._ripe)
                self.histories[B].look()

    async def _restart(self, ledger: PlayedLedger) -> None:
        for at_s in self.plan.restarts:
            await self.clock.sleep(at_s - self.seconds)
            ledger.engine.forget_pending()

    async def _produce(self, chain: PlayedMemory) -> None:
        mean_s = self.plan.block_time_s[chain.chain]
        while True:
            await self.clock.sleep(self.random.uniform(0.5, 1.5) * mean_s)
            if self._skips(chain.chain):
                continue
            self.aims.before_block(chain)
            chain.mine(accept=lambda tx_hash: self._ripe(tx_hash) and self.aims.takes(chain, tx_hash))
            self.aims.after_block(chain)
            if chain.fees is not None:
                chain.fees = self._next_fees(chain, chain.fees)
            for branch in [one for (_, name), one in self._branches.items() if name == chain.chain]:
                branch.grow()

    def stand(self, chain: ChainId, since_s: float, until_s: float) -> None:
        """Have this chain make no block between these (Unix seconds)."""
        if not self._stands:
            self.faults["chain-stands"] += 1
            self._stands[chain] = since_s, until_s

    def _skips(self, chain: ChainId) -> bool:
        """Return true if the chain makes no block this time: it stands still, or see `gateway.simulation.lull`."""
        since_s, until_s = self._stands.get(chain, (inf, inf))
        if since_s < self.clock.now() < until_s:
            return True
        busy = self._is_full(chain) or self._is_half_full(chain)
        if self._skipped[chain] >= MOST_SKIPPED or busy or not self.lull():
            self._skipped[chain] = 0
            return False
        self._skipped[chain] += 1
        self.faults["skipped-block"] += 1
        return True

    def _is_full(self, chain: ChainId) -> bool:
        return any(self._lasts(chain, spike, 0, spike.blocks) for spike in self.plan.spikes)

    def _is_half_full(self, chain: ChainId) -> bool:
        return any(self._lasts(chain, one, one.blocks, one.blocks + one.half) for one in self.plan.spikes)

    def _lasts(self, chain: ChainId, spike: Spike, first: int, last: int) -> bool:
        """Return true if as many blocks as that have passed since the spike began, more or less."""
        blocks = (self.seconds - spike.at_s) / self.plan.block_time_s[chain]
        return spike.chain == chain and first <= blocks < last

    def _next_fees(self, chain: PlayedMemory, now: FeeMarket) -> FeeMarket:
        """EIP-1559: after a full block the base fee is an eighth higher, after an empty one an eighth lower, and the
        same after one that is half full."""
        full, half = self._is_full(chain.chain), self._is_half_full(chain.chain)
        self.faults["full-block"] += full
        emptier = now.base_fee if half else max(CALM_FEES.base_fee, now.base_fee * 7 // 8)
        base_fee = now.base_fee * 9 // 8 if full else emptier
        self.dearest[chain.chain] = max(self.dearest[chain.chain], base_fee)
        self._base_fees[chain.chain].append((self.clock.now(), base_fee))
        return FeeMarket(base_fee, self.aims.tip(chain.chain))

    def base_fees(self, chain: ChainId, since_s: float, until_s: float = inf) -> list[int]:
        """Return every base fee that held at any time between these (Unix seconds), none without fees."""
        fees = self._base_fees.get(chain, [])
        before = [fee for at_s, fee in fees if at_s <= since_s][-1:]
        return [*before, *(fee for at_s, fee in fees if since_s < at_s <= until_s)]

    def _ripe(self, tx_hash: bytes) -> bool:
        """Return true if the producer takes a transaction now; most at once, some late, none later than is allowed,
        however often it is signed again."""
        place = self.aims.place(tx_hash)
        if place not in self._patience:
            late_s = self.random.uniform(0, MAX_PENDING_S) if self.random.random() < 0.3 else 0.0
            self._patience[place] = self.seconds + late_s
            if late_s:
                self.faults["late-inclusion"] += 1
                self.late[place] = self.seconds, self.seconds + late_s
        return self.seconds >= self._patience[place]

    def leave_lying(self, tx_hash: bytes) -> None:
        """No block takes this transaction."""
        self._patience[self.aims.place(tx_hash)] = inf

    async def _reorganise(self, reorg: Reorg) -> None:
        await self.clock.sleep(reorg.at_s)
        chain = self.memory[reorg.chain]
        depth = min(reorg.depth, chain.height - chain.finalized_height)
        if depth > 0:
            returning = random.Random(f"reorg/{self.plan.seed}/{reorg.at_s}")
            chain.reorg(depth, keep=lambda _: returning.random() < reorg.returning)
            self.reorged.append((reorg.chain, self.seconds))
            self.faults["reorg"] += 1

    async def _reorganise_deeply(self, name: ChainId) -> None:
        await self.clock.sleep(self.plan.at_s[Rough.DEEP_REORG])
        chain = self.memory[name]
        while chain.finalized_height <= 1:
            await self.clock.sleep(1)  # until there is a finalized block above the fork
        fork = Height(max(1, chain.finalized_height - self.random.randint(1, MAX_BELOW_FINAL)))
        for height in range(fork + 1, chain.finalized_height + 1):
            happened = chain.block(Height(height)).events
            self.undone |= {found for logged in happened if (found := hashlock_of(logged)) is not None}
        history = self.histories[name]
        history.look()
        self.deep[name] = DeepReorg(self.clock.now(), fork, history.final_since_s(Height(fork + 1)))
        returning = random.Random(f"deep/{self.plan.seed}")
        chain.reorg(chain.height - fork, keep=lambda _: returning.random() < RETURNING, deep=True)
        self.reorged.append((name, self.seconds))
        self.faults["deep-reorg"] += 1

    @property
    def _stall_s(self) -> float:
        return STALL_S * random.Random(f"stall/{self.plan.seed}").choice((1, 2))

    async def _stall(self, name: ChainId) -> None:
        await self.clock.sleep(self.plan.at_s[Rough.FINALITY_STALLS])
        if name not in self.memory:
            await self._halt()
            return
        chain = self.memory[name]
        usual = chain.rules
        chain.rules = replace(usual, finality_depth=UNREACHABLE)
        self.faults["finality-stall"] += 1
        self.stalled.append((name, self.clock.now(), self.clock.now() + self._stall_s))
        await self.clock.sleep(self._stall_s)
        chain.rules = usual

    async def _halt(self) -> None:
        """Halt the blocks with the finality, if they are final at once: it can only stall together with them."""
        if self.ledger is not None:
            self.ledger.halted = True
            self.faults["finality-stall"] += 1
            self.faults["ledger-halt"] += 1
            self.stalled.append((B, self.clock.now(), self.clock.now() + self._stall_s))
            await self.clock.sleep(self._stall_s)
            self.ledger.halted = False

    async def _take_fees(self, name: ChainId) -> None:
        await self.clock.sleep(self.plan.at_s[Rough.TOKEN_TAKES_FEES])
        self.memory[name].tokens.taking_fees.add(TOKEN[name])
        self.faults["token-fees"] += 1

    async def _pause(self, name: ChainId) -> None:
        await self.clock.sleep(self.plan.at_s[Rough.TOKEN_PAUSES])
        tokens = self.memory[name].tokens
        tokens.paused.add(TOKEN[name])
        self.faults["token-pause"] += 1
        for_s = self.random.uniform(5, 2 * STALL_S)
        self.blocked.append((TOKEN[name], None, self.clock.now(), self.clock.now() + for_s))
        await self.clock.sleep(for_s)
        if not is_paused(self.blocked, TOKEN[name], self.clock.now()):
            tokens.paused.discard(TOKEN[name])


def _assets(chain: ChainId) -> dict[AssetId, Asset]:
    return {
        COIN[chain]: Asset(COIN[chain], chain[-1].upper(), 0),
        TOKEN[chain]: Asset(TOKEN[chain], "T" + chain[-1].upper(), 0),
    }
