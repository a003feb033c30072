"""Trouble that waits for its moment: what drawn times hit once in a thousand seeds is aimed at a transaction.

    spiked    right after it left, blocks are full: for a while they take those only who offer more
    evicted   every node forgets it before a block takes it
    reorged   the block that took it is replaced by one without it, when it is at least so old
    undone    the block that took it is replaced, and its token does not move when another block takes it
    paused    its token does not move while it is mined, and again in time; for a lock, from the block on that took it
    starved   blocks leave it lying, as long as nothing but locks of its account stands behind it

All of it stays within what the protocol promises to bear, but that a starved lock may come too late: its swap then ends
by refunds.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Final

from adapters.memory.transactions import Batch, Body, Claim, Lock, Refund, Transfer, decode_wire, transaction_hash
from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, ChainId, LockId, LockTerms
from core.runtime.clock import Clock
from gateway.simulation.chains import PlayedMemory
from gateway.simulation.plan import CALM_TIP, POLICY, TIMING, Act, Aim, Trouble
from gateway.simulation.verdict.chains import all_locks
from gateway.simulation.wire import Sent

CROWDED_TIP: Final = 150
"""The least that a block asks for while many want to get in; nodes name it as the usual tip."""
LEFT_S: Final = (
    2 * TIMING.inclusion_s
    + TIMING.finality_s
    + TIMING.observation_s
    + TIMING.lag_s
    + TIMING.lead_s
    + POLICY.participant_outage_s
)
"""How long before any timelock of the token a pause is over at the latest."""
MIN_PAUSE_S: Final = 3.0
A_MOMENT_S: Final = 0.01
"""Times are sums of others."""

Place = tuple[ChainId, str, int]
"""A chain, an account and a sequence: what all forms of one transaction share."""


class Aims:
    """Hears what parties send, and does to it what the plan has in store. `reorged` and `disturbed` are for the
    verdict: when (seconds of the story) which chain was reorganised, and which hashlocks or tokens were held up."""

    def __init__(
        self,
        aims: tuple[Aim, ...],
        clock: Clock,
        chains: Mapping[ChainId, PlayedMemory],
        faults: Counter[str],
        reorged: list[tuple[ChainId, float]],
        blocked: list[tuple[AssetId, AccountId | None, float, float]],
        calm_tip: int = CALM_TIP,
    ) -> None:
        self.disturbed: set[bytes | AssetId] = set()
        self._waiting = list(aims)
        self._clock = clock
        self._chains = chains
        self._faults = faults
        self._reorged = reorged
        self._blocked = blocked
        self._calm_tip = calm_tip
        self._bodies: dict[bytes, Body] = {}
        self._acts: Counter[Act] = Counter()
        self._places: set[Place] = set()
        self._crowded_s: dict[ChainId, float] = {}
        self._starved_s: dict[Place, float] = {}
        self._evicted: set[tuple[ChainId, bytes]] = set()
        self._doomed: dict[tuple[ChainId, bytes], float] = {}
        """Transactions whose block is to be replaced, once it is at least so old, seconds."""
        self._undone: dict[tuple[ChainId, bytes], tuple[AssetId, float]] = {}
        """Of what is to be replaced, the token that is to be paused for this time then."""
        self._paused: dict[tuple[ChainId, AssetId], float] = {}
        self._frozen: dict[tuple[ChainId, bytes], float] = {}
        """Locks whose token is to be paused for this time once a block has taken them."""

    def heard(self, sent: Sent) -> None:
        """A party sends this."""
        if sent.chain not in self._chains:
            return
        tx_hash, body = transaction_hash(sent.raw), decode_wire(sent.raw).body
        self._bodies[tx_hash] = body
        act, place = _act_of(body), (sent.chain, body.sender, body.sequence)
        if act is None or place in self._places:
            return
        self._places.add(place)
        acts = {act, Act.FUND} if act is Act.LOCK and sent.party.startswith("relayer") else {act}
        if isinstance(body.message, Batch) and len(body.message.items) > 1 and act is not Act.LOCK:
            acts.add(Act.BATCH)
        self._acts.update(acts)
        for aim in self._waiting:
            due = aim.act in acts and aim.number <= self._acts[aim.act]
            if due and self._hits(aim, sent, body, tx_hash, place):
                self._waiting.remove(aim)
                self._faults[f"aim-{aim.trouble}-{aim.act}"] += 1
                return

    def _hits(self, aim: Aim, sent: Sent, body: Body, tx_hash: bytes, place: Place) -> bool:
        """Bring the trouble about; false if it cannot meet this transaction."""
        chain, until_s = self._chains[sent.chain], sent.at_s + aim.for_s
        match aim.trouble:
            case Trouble.SPIKED:
                if chain.fees is None or body.priority_fee >= CROWDED_TIP:
                    return False
                self._crowded_s[sent.chain] = until_s
            case Trouble.EVICTED:
                self._evicted.add((sent.chain, tx_hash))
            case Trouble.REORGED:
                self._doomed[sent.chain, tx_hash] = aim.for_s
            case Trouble.UNDONE:
                token = next((one.asset for one in _terms_of(chain, body) if "/slip44:" not in one.asset), None)
                if token is None:
                    return False
                self._doomed[sent.chain, tx_hash] = 0.0
                self._undone[sent.chain, tx_hash] = token, aim.for_s
            case Trouble.STARVED:
                if not _bears_most(chain, aim.act) and any(_bears_most(one, aim.act) for one in self._chains.values()):
                    return False
                self._starved_s[place] = until_s
                self.disturbed |= _hashlocks(chain, body)
            case Trouble.PAUSED if aim.act in (Act.LOCK, Act.FUND):
                if not (assets := _assets(body)) or chain.native in assets or any("/slip44:" in one for one in assets):
                    return False
                self._frozen[sent.chain, tx_hash] = aim.for_s
            case Trouble.PAUSED:
                moved = _paid(body) if aim.act is Act.PAYMENT else [one.asset for one in _terms_of(chain, body)]
                if aim.act is Act.BATCH:  # of one that has a token: what is of coins is paid
                    moved = [one for one in moved if "/slip44:" not in one]
                return self._pause(chain, next(iter(moved), None), until_s)
        return True

    def _pause(self, chain: PlayedMemory, asset: AssetId | None, until_s: float) -> bool:
        if asset is None or "/slip44:" in asset or asset == chain.native:
            return False  # no issuer can stop a native coin
        now, now_s = chain.block(chain.height).header.time, self._clock.now()
        claimable = [
            lock.terms.timelock.seconds
            for lock in all_locks(chain)
            if lock.terms.asset == asset and lock.status is LockStatus.LOCKED and lock.terms.timelock > now
        ]
        bounds = [timelock_s - LEFT_S for timelock_s in claimable]
        until_s = min([until_s, *bounds])
        if until_s - now_s < MIN_PAUSE_S:
            return False
        chain.tokens.paused.add(asset)
        # Of two that overlap, the later one lifts both.
        place = chain.chain, asset
        self._paused[place] = max(until_s, self._paused.get(place, until_s))
        self._blocked.append((asset, None, now_s, until_s))
        self.disturbed.add(asset)
        return True

    def before_block(self, chain: PlayedMemory) -> None:
        """The chain is about to produce a block."""
        now_s = self._clock.now()
        for name, tx_hash in list(self._evicted):
            if name == chain.chain:
                self._evicted.remove((name, tx_hash))
                chain.forget(tx_hash)
        for (name, asset), until_s in list(self._paused.items()):
            if name == chain.chain and now_s >= until_s:
                del self._paused[name, asset]
                if not is_paused(self._blocked, asset, now_s):
                    chain.tokens.paused.discard(asset)

    def after_block(self, chain: PlayedMemory) -> None:
        """The chain has produced a block."""
        for (name, tx_hash), least_s in list(self._doomed.items()):
            block = chain.outcome(tx_hash).block if name == chain.chain else None
            if block is None or ((name, tx_hash) in self._undone and block.height == chain.height):
                continue  # what is to fail when it comes again, everybody has read before
            if least_s and self._clock.now() < chain.block(block.height).header.time.seconds + least_s:
                continue
            del self._doomed[name, tx_hash]
            depth = chain.height - block.height + 1
            if depth <= chain.height - chain.finalized_height:
                chain.reorg(depth, keep=lambda tx, gone=tx_hash: tx != gone)
                self._reorged.append((name, self._clock.monotonic()))
                self._faults["reorg"] += 1
                if (undone := self._undone.pop((name, tx_hash), None)) is not None:
                    self._pause(chain, undone[0], self._clock.now() + undone[1])
        for (name, tx_hash), for_s in list(self._frozen.items()):
            block = chain.outcome(tx_hash).block if name == chain.chain else None
            if block is not None:
                del self._frozen[name, tx_hash]
                hashlocks = _hashlocks(chain, self._bodies[tx_hash])
                terms = next((lock.terms for lock in all_locks(chain) if lock.terms.hashlock in hashlocks), None)
                self._pause(chain, None if terms is None else terms.asset, self._clock.now() + for_s)

    @property
    def starved_until_s(self) -> float:
        """Until when blocks leave anything lying that they were to, Unix seconds; 0 if there was nothing."""
        return max(self._starved_s.values(), default=0.0)

    def place(self, tx_hash: bytes) -> object:
        """Return the place of a transaction that a party sent, which all its forms share; the hash of any other."""
        body = self._bodies.get(tx_hash)
        return tx_hash if body is None else (body.sender, body.sequence)

    def tip(self, chain: ChainId) -> int:
        """The tip that blocks ask for at least, and that nodes name."""
        return CROWDED_TIP if self._crowded_s.get(chain, 0.0) > self._clock.now() else self._calm_tip

    def takes(self, chain: PlayedMemory, tx_hash: bytes) -> bool:
        """True unless the producer leaves this transaction lying."""
        body = self._bodies.get(tx_hash)
        if body is None:
            return True
        if chain.fees is not None and self.tip(chain.chain) == CROWDED_TIP:
            tip = min(body.priority_fee, body.max_fee - chain.fees.base_fee)
            if tip < CROWDED_TIP:
                return False
        starved_s = self._starved_s.get((chain.chain, body.sender, body.sequence), 0.0)
        if starved_s <= self._clock.now() or _act_of(body) is None:
            return True
        pending = (self._bodies.get(one) for one in chain.pending())
        behind = [one for one in pending if one and one.sender == body.sender and one.sequence > body.sequence]
        for one in behind:
            self.disturbed |= _hashlocks(chain, one)
        # A refund waits for another one: neither has a deadline.
        patient = {Act.LOCK, Act.REFUND} if _act_of(body) is Act.REFUND else {Act.LOCK}
        return any(_act_of(one) not in patient for one in behind)


def is_paused(
    blocked: Collection[tuple[AssetId, AccountId | None, float, float]], asset: AssetId, now_s: float
) -> bool:
    """Return true if any pause of the asset is not over: of two that overlap, the one that ends first lifts nothing."""
    return any(
        one == asset and whom is None and since_s <= now_s < until_s - A_MOMENT_S
        for one, whom, since_s, until_s in blocked
    )


def _act_of(body: Body) -> Act | None:
    """Return the act of a transaction on a swap, by its first item, or a payment to another; None for anything else."""
    message = body.message
    if isinstance(message, Transfer):
        return None if message.receiver == body.sender else Act.PAYMENT
    if isinstance(message, Batch):
        message = message.items[0]
    for kind, act in ((Lock, Act.LOCK), (Claim, Act.CLAIM), (Refund, Act.REFUND)):
        if isinstance(message, kind):
            return act
    return None


def _terms_of(chain: PlayedMemory, body: Body) -> list[LockTerms]:
    """The terms of the locks that an exit settles, as far as the chain knows them."""
    message = body.message
    items = message.items if isinstance(message, Batch) else (message,)
    rows = [chain.lock_at(LockId(item.lock_id)) for item in items if isinstance(item, Claim | Refund)]
    return [row.terms for row in rows if row is not None]


def _paid(body: Body) -> list[AssetId]:
    """The asset of a payment."""
    return [AssetId(body.message.asset)] if isinstance(body.message, Transfer) else []


def _bears_most(chain: PlayedMemory, act: Act) -> bool:
    """Return true if waiting is hardest: for an exit if it may expire, for a lock if it is outbid; for a payment
    anywhere."""
    if act is Act.PAYMENT:
        return True
    return chain.rules.knows_expiry if act is Act.REFUND else chain.fees is not None


def _assets(body: Body) -> set[str]:
    """The assets that locks are of."""
    message = body.message
    items = message.items if isinstance(message, Batch) else (message,)
    return {item.asset for item in items if isinstance(item, Lock)}


def _hashlocks(chain: PlayedMemory, body: Body) -> set[bytes]:
    """The hashlocks that a transaction is about."""
    message = body.message
    items = message.items if isinstance(message, Batch) else (message,)
    if all(isinstance(item, Lock) for item in items):
        return {item.hashlock for item in items if isinstance(item, Lock)}
    if isinstance(message, Claim):
        return {hashlib.sha256(message.preimage).digest()}
    return {terms.hashlock for terms in _terms_of(chain, body)}
