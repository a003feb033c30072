"""A story's record, for its judges."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Final

from adapters.memory.transactions import transaction_hash
from core.model.types import AccountId, ChainId, Hashlock, Height, LockTerms, SwapId
from core.runtime.clock import NS_PER_S
from core.runtime.database import InlineDatabase
from gateway.simulation.plan import FORGETFUL, POLICY, TIMING, Deal, Lie, Party, Plan, Rough
from gateway.simulation.plan_operators import Purpose
from gateway.simulation.process import Dapp, Process, Relayer
from gateway.simulation.verdict.chains import shown_at_s
from gateway.simulation.wire import Sent
from gateway.simulation.world import World
from relayer.treasury.orders import Withdrawal

READ_S: Final = 2.0 * TIMING.observation_s
"""How long before a database was made again from the chains a lock must have been in a block to be found."""
LATE_S: Final = 600.0
"""A lock that was on its way then is found by nobody, however late it comes."""
SILENCE_S: Final = 9.0
"""How much longer anything may take next to an endpoint that hangs."""
BID_TIMES: Final = 2
"""The base fee's share of a usual bid: it may double until a block takes that."""
SIGNED_S: Final = 2.0
"""How long after a signer is done with one act others have waited for it."""
ROUNDED_S: Final = 1
"""Times of blocks are whole seconds."""


@dataclass(slots=True)
class Agreed:
    """A deal that came about: its terms, when it did (Unix seconds), and until when the initiator was to lock."""

    deal: Deal
    swap_id: SwapId
    initiator_leg: LockTerms
    participant_leg: LockTerms
    lock_deadline_s: int
    agreed_at_s: float
    relayer: str
    dapp: str | None
    """None for a cheat's."""
    watched_since_s: float | None = None
    asked_at_s: float = 0.0
    price_until_s: float = inf
    """When a cheat asked for it, and until when the price was offered (both Unix seconds)."""

    @property
    def hashlock(self) -> Hashlock:
        return self.initiator_leg.hashlock

    @property
    def legs(self) -> tuple[LockTerms, LockTerms]:
        return self.initiator_leg, self.participant_leg


@dataclass(frozen=True, slots=True)
class Ordered:
    """A withdrawal that stands in a relayer's database since `at_s` (Unix seconds)."""

    relayer: str
    order: Withdrawal
    purpose: Purpose
    at_s: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """A provider's answer to an honest initiator that its inventory is short. `at_s`: Unix seconds."""

    deal: Deal
    relayer: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Filled:
    """A party's purse on a chain was filled by then (Unix seconds), finally."""

    party: str
    chain: ChainId
    at_s: float


@dataclass(frozen=True, slots=True)
class CalledOff:
    """An initiator's word that a swap is not to go on. `at_s`: Unix seconds."""

    agreed: Agreed
    at_s: float


@dataclass(slots=True)
class Record:
    """One story: its world and its people, and what they agreed on."""

    world: World
    relayers: list[Relayer]
    dapps: list[Dapp]
    tower: Relayer | None
    agreed: list[Agreed] = field(default_factory=list)
    foreign: list[tuple[str, float]] = field(default_factory=list)
    """Whose accounts were used by another hand, and when that was final (Unix seconds)."""
    acknowledged: list[tuple[str, float]] = field(default_factory=list)
    """Whose operator acknowledged the uses of its accounts until then (Unix seconds)."""
    stored: tuple[InlineDatabase, float] | None = None
    """A copy of the first initiator's store, made when its swap had been agreed on, and when (Unix seconds)."""
    notes: list[str] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    errands: list[asyncio.Task[None]] = field(default_factory=list)
    unadopted: dict[str, tuple[float, float]] = field(default_factory=dict)
    """From when until when (Unix seconds) a process had an empty database, and accounts that its chains show as used
    and nobody had adopted."""

    forgotten: list[tuple[str, float, float]] = field(default_factory=list)
    """Whose database knows nothing of what was agreed from when until when (Unix seconds), since an older one, or an
    empty one, took its place."""

    copies: list[tuple[str, float, float, float]] = field(default_factory=list)
    """Who worked with a copy made at the first time, from the second until the third (Unix seconds), and not later."""

    rebuilt: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Whose database was lost when, and made again from the chains by when (Unix seconds)."""

    paused: list[tuple[str, str, float, float]] = field(default_factory=list)
    """Whose operator paused which scope, from when until when (Unix seconds)."""

    called_off: list[CalledOff] = field(default_factory=list)
    filled: list[Filled] = field(default_factory=list)
    orders: list[Ordered] = field(default_factory=list)
    signed_s: dict[bytes, float] = field(default_factory=dict)
    """When bytes were signed (Unix seconds), as the databases of their parties say in the end."""

    @property
    def plan(self) -> Plan:
        return self.world.plan

    @property
    def processes(self) -> list[Process]:
        return [*self.relayers, *self.dapps, *([self.tower] if self.tower else [])]

    def process(self, name: str) -> Process:
        return next(one for one in self.processes if one.name == name)

    def party(self, name: str) -> Party:
        """The party of this name, as it was drawn."""
        return next(one for one in self.plan.parties if one.name == name)

    def silence_s(self, party: str) -> float:
        """How much longer than others this party may take for anything that endpoints are asked for, seconds."""
        return SILENCE_S if self.party(party).lie is Lie.HANGS else 0.0

    def owner(self, account: AccountId) -> str | None:
        """The process that signs for this account, None for a cheat's or stranger's."""
        return next((one.name for one in self.processes if one.owns(account)), None)

    def has_forgotten(self, agreed: Agreed) -> bool:
        """True if the provider's database may know nothing of the swap. An initiator may hear of it later."""
        quoted_s = min(agreed.agreed_at_s, agreed.lock_deadline_s - POLICY.lock_s)
        return any(
            name == agreed.relayer and since_s <= agreed.agreed_at_s and quoted_s <= until_s
            for name, since_s, until_s in self.forgotten
        )

    def is_lost(self, agreed: Agreed) -> bool:
        """True if nothing can save what a provider has in a swap that its database may know nothing of: it was not made
        again from the chains, or only before a block had its lock, which was on its way."""
        if Rough.FROM_CHAIN not in self.plan.rough or agreed.relayer not in self.rebuilt:
            # What one database kept for its exits another one may have spent, if there is little.
            unknown = self.has_forgotten(agreed) or Rough.SHORT_PURSE in self.plan.rough
            return bool(self.plan.rough & FORGETFUL) and unknown
        _, read_s = self.rebuilt[agreed.relayer]
        leg = agreed.participant_leg
        seen = [
            one.at_ns / NS_PER_S
            for one in self.world.histories[leg.chain].happened
            if one.event == "LockSeen" and one.terms == leg
        ]
        return bool(seen) and read_s - READ_S < min(seen) < read_s + LATE_S and self.has_forgotten(agreed)

    def never_knew(self, party: str, then_s: float, now_s: float) -> bool:
        """True if what this party did at one Unix time is unknown to the database that it had at a later one."""
        return any(
            name == party and since_s <= then_s <= until_s <= now_s for name, since_s, until_s in self.forgotten
        ) or any(
            name == party and copied_s <= then_s <= began_s <= now_s <= ended_s
            for name, copied_s, began_s, ended_s in self.copies
        )

    def was_away(self, party: str, since_s: float, until_s: float) -> bool:
        """True if the process, or its database, was down at any time between these (Unix seconds)."""
        began_s = self.world.clock.now() - self.world.seconds
        return any(began_s + down_s < until_s and began_s + up_s > since_s for down_s, up_s in self.process(party).away)

    def was_dear(self, deal: Agreed, since_s: float, until_s: float) -> bool:
        """True if at any time between these (Unix seconds) either chain asked for more than a usual bid may be, by the
        ceilings of those who offer."""
        if (ceiling := self.plan.ceiling) is None:
            return False
        asked = [fee for leg in deal.legs for fee in self.world.base_fees(leg.chain, since_s, until_s)]
        return BID_TIMES * max(asked, default=0) > ceiling

    def was_signing(self, party: str, since_s: float, until_s: float) -> bool:
        """True if the party's signer was at work on something else, or on this, at any time between these (Unix
        seconds)."""
        return any(
            one.party == party and one.since_s < until_s and one.until_s + SIGNED_S > since_s
            for one in self.world.at_work
        )

    def could_not_act(self, party: str, since_s: float, until_s: float) -> bool:
        """True if the party was away at any time between these (Unix seconds), or its signer was at work."""
        return self.was_away(party, since_s, until_s) or self.was_signing(party, since_s, until_s)

    def began_again(self, party: str, since_s: float, until_s: float) -> bool:
        """True if the party's process began a life between these (Unix seconds): what an earlier one signed, or sent,
        it checks again before any form of it leaves."""
        story_s = self.world.clock.now() - self.world.seconds
        # What is sent in the instant of its beginning is its own.
        return any(since_s < story_s + began_s <= until_s for began_s in self.process(party).began)

    def was_signed_by(self, sent: Sent, at_s: float) -> bool:
        """True if these bytes were signed by then, and their process lives since; also if nobody knows any more."""
        signed_s = self.signed_s.get(sent.raw)
        if signed_s is None:
            return bool(self.plan.rough & FORGETFUL)
        return signed_s <= at_s and not self.was_away(sent.party, signed_s, sent.at_s)

    def was_left_signed(self, sent: Sent, at_s: float) -> bool:
        """True if a life of its process that has ended signed these bytes by then: whoever comes after it cannot say if
        they left, so that the preimages in them count as public."""
        signed_s = self.signed_s.get(sent.raw, inf)
        return signed_s <= at_s and self.began_again(sent.party, signed_s, sent.at_s)

    def is_calm(self, party: str) -> bool:
        """True for a party next to which nothing that it stands on is slow, or fails."""
        return self.party(party).is_calm

    def made_at_s(self, chain: ChainId, height: int) -> int:
        """When the chain made its block of this height, Unix seconds of true time."""
        return self.world.chains[chain].block(Height(height)).header.time.seconds - self.plan.skew_s[chain]

    def height_at(self, chain: ChainId, at_s: float) -> Height:
        """The newest block that this chain had then (Unix seconds)."""
        height = self.world.chains[chain].height
        while height > 0 and self.made_at_s(chain, height) > at_s:
            height = Height(height - 1)
        return height

    def final_at_s(self, terms: LockTerms) -> float:
        """When a block that held this lock became final first, Unix seconds of true time; infinity if none has."""
        happened = self.world.histories[terms.chain].happened
        finals = (one.at_ns / NS_PER_S for one in happened if one.event == "LockFinal" and one.terms == terms)
        return min(finals, default=inf)

    def mined_at_s(self, forms: Iterable[Sent]) -> float:
        """When a block of a memory chain that stayed took one of these first, Unix seconds of true time; infinity if
        none has."""
        mined = [(one.chain, self.world.memory[one.chain].outcome(transaction_hash(one.raw)).block) for one in forms]
        return min((self.made_at_s(chain, block.height) for chain, block in mined if block is not None), default=inf)

    def sent_by_accounts(self) -> list[list[Sent]]:
        """Everything that an account sent on a memory chain with fees, at its first broadcast; of each account."""
        found: dict[tuple[str, ChainId, AccountId], list[Sent]] = {}
        for sent in self.world.wire.firsts():
            if sent.chain in self.plan.fees and sent.chain in self.world.memory:
                found.setdefault((sent.party, sent.chain, sent.body.sender), []).append(sent)
        return list(found.values())

    def shown_at_s(self, hashlock: Hashlock) -> int | None:
        """When a block that stayed first showed the preimage, Unix seconds of true time."""
        return shown_at_s(self.world.chains, self.plan.skew_s, hashlock)

    def note(self, what: str) -> None:
        self.notes.append(f"{self.world.seconds:7.2f} s  {what}")
