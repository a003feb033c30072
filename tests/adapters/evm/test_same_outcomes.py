"""One random schedule for the contract on anvil, the ledger's htlc module and the swap's state machine: one outcome."""

import random
from dataclasses import dataclass, field

from core.model.consortium import Claim, LockLeaf, Message, Refund, ResultCode, quantity
from core.model.consortium import Lock as LedgerLock
from core.model.types import AccountId, AssetId, BaseUnits, ChainTime, LockTerms
from htlc.effects import RefundLeg, SwapEffect
from htlc.events import SwapEvent
from htlc.model import Leg, LegStatus, Role, SwapState, swap_id
from tests.adapters.evm.htlc_chain import Chain, Lock, htlc_chain
from tests.htlc import scenarios
from tests.htlc.scenarios import CHAINS, LOCK, NOW, PREIMAGE
from tests.local_chains.consortium import support

ACTIONS = ("claim", "claim", "refund", "refund", "wrong preimage", "lock again")
AMOUNT = 10
STEPS = 8
WORDS = {1: LegStatus.LOCKED, 2: LegStatus.CLAIMED, 3: LegStatus.REFUNDED}
SCHEDULES = 20


@dataclass
class Machine:
    """A watchtower's view of two legs that are equal but for their chains: A is the contract's, B the ledger's."""

    length_s: int
    state: SwapState = field(init=False)
    refund_asked: set[Leg] = field(default_factory=set)

    def __post_init__(self) -> None:
        terms = {
            leg: LockTerms(
                AssetId(f"{chain}/{'slip44:60' if leg is Leg.INITIATOR else 'asset:cnyd'}"),
                BaseUnits(AMOUNT),
                AccountId(f"{chain}:0x01"),
                AccountId(f"{chain}:0x02"),
                LOCK,
                ChainTime(chain, NOW + self.length_s),
            )
            for leg, chain in CHAINS.items()
        }
        first, second = terms[Leg.INITIATOR], terms[Leg.PARTICIPANT]
        agreed = scenarios.agreement(
            Role.WATCHTOWER, initiator_leg=first, participant_leg=second, swap_id=swap_id(first, second)
        )
        self.state, _ = scenarios.begin(agreed)
        self._play(*(scenarios.lock_seen(agreed, leg) for leg in Leg))

    def _play(self, *events: SwapEvent) -> None:
        asked: list[SwapEffect]
        self.state, asked = scenarios.play(self.state, *events)
        self.refund_asked |= {effect.leg for effect in asked if isinstance(effect, RefundLeg)}

    def at(self, time_s: int) -> None:
        self._play(*(scenarios.time(leg, time_s, finalized=0) for leg in Leg))

    def expects(self, action: str, leg: Leg) -> bool:
        """Return true if the call goes through: an open lock is refunded when the machine asks, claimed until then."""
        if not self.state.leg(leg).open or action not in ("claim", "refund"):
            return False
        return (action == "refund") == (leg in self.refund_asked)

    def done(self, action: str, leg: Leg) -> None:
        self._play(scenarios.claim_seen(leg) if action == "claim" else scenarios.refund_seen(leg))


@dataclass
class Contract:
    chain: Chain
    lock: Lock
    start_s: int

    async def attempt(self, action: str, time_s: int) -> bool:
        await self.chain.set_next_time(self.start_s + time_s)
        lock = self.lock.but(preimage=b"x" * 32) if action == "wrong preimage" else self.lock
        value = 0
        if action == "lock again":
            call, value = self.chain.lock_call(lock), lock.amount
        elif action == "refund":
            call = self.chain.refund_call(lock)
        else:
            call = self.chain.claim_call(lock)
        by = self.chain.sender if action == "lock again" else self.chain.stranger
        return bool((await self.chain.mine(call, by, value))["status"])

    async def status(self) -> LegStatus:
        return WORDS[await self.chain.word(self.lock.sender, self.lock.lane) & 0xFFFF]


class Ledger:
    def __init__(self, length_s: int) -> None:
        self.chain = support.Chain()
        self.time_s = 0.0
        self.start_s = support.START_S
        receiver = support.BEN.address
        self.lock = LedgerLock("cnyd", quantity(AMOUNT), receiver, bytes(LOCK), self.start_s + length_s)
        assert self.chain.one(support.ANN, self.lock, after_s=0.5).code is ResultCode.OK
        self.time_s = 0.5

    def attempt(self, action: str, time_s: int) -> bool:
        locker = support.ANN.address
        messages: dict[str, Message] = {
            "claim": Claim(locker, bytes(PREIMAGE)),
            "wrong preimage": Claim(locker, b"x" * 32),
            "refund": Refund(locker, bytes(LOCK)),
            "lock again": self.lock,
        }
        by = support.ANN if action == "lock again" else support.BEN
        result = self.chain.one(by, messages[action], after_s=time_s - self.time_s)
        self.time_s = time_s
        return result.code is ResultCode.OK

    def status(self) -> LegStatus:
        leaf: LockLeaf = self.chain.lock(support.ANN.address, bytes(LOCK))
        return LegStatus(leaf.status)


async def play(evm: Chain, seed: int, generation: int) -> set[LegStatus]:
    """One schedule, and how its two legs ended. Times lie thick about the timelock, where the answer turns."""
    draw = random.Random(seed)
    length_s = draw.randint(20, 200)
    near = [length_s - 2, length_s - 1, length_s, length_s + 1, length_s + 2]
    times = sorted({*draw.sample(near, 3), *(draw.randint(2, length_s * 2) for _ in range(STEPS))})[:STEPS]

    start_s = await evm.now() + 10
    lock = await evm.new_lock(preimage=bytes(PREIMAGE), timelock=start_s + length_s, amount=AMOUNT)
    lock = lock.but(generation=generation)
    await evm.set_next_time(start_s)
    await evm.open(lock)
    contract, ledger, machine = Contract(evm, lock, start_s), Ledger(length_s), Machine(length_s)
    for time_s in times:
        action = draw.choice(ACTIONS)
        machine.at(time_s)
        expected = {leg: machine.expects(action, leg) for leg in Leg}
        happened = {
            Leg.INITIATOR: await contract.attempt(action, time_s),
            Leg.PARTICIPANT: ledger.attempt(action, time_s),
        }
        assert happened == expected, f"seed {seed}: {action} at {time_s} of {length_s}"
        for leg in Leg:
            if happened[leg]:
                machine.done(action, leg)
        found = {Leg.INITIATOR: await contract.status(), Leg.PARTICIPANT: ledger.status()}
        assert found == {leg: machine.state.leg(leg).status for leg in Leg}, f"seed {seed} at {time_s}"
    if await contract.status() is LegStatus.LOCKED:  # the lane is used again
        await contract.attempt("refund", length_s * 3)
    return set(found.values())


async def test_contract_ledger_and_machine_answer_alike() -> None:
    ends: set[LegStatus] = set()
    async with htlc_chain() as evm:
        for seed in range(SCHEDULES):
            ends |= await play(evm, seed, seed + 1)
    assert ends >= {LegStatus.CLAIMED, LegStatus.REFUNDED}
