"""A town without processes: what parties would send is signed and mined by hand, so that a test can plant anything.

`Stage.played()` is a whole swap that nothing is wrong with; the tests leave steps out of it, or put others in.
"""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from adapters.memory import FaultRates
from core.model.facts import Locked
from core.model.transactions import FeeBid, UnsignedTransaction
from core.model.types import BaseUnits, ChainId, ChainTime, Height, LockId, LockTerms, Preimage
from core.runtime.database import create_schema
from gateway.simulation.plan import CHAINS, POLICY, TIMING, A, B, Deal, Party, Plan, Style
from gateway.simulation.process import Dapp, Process, Relayer
from gateway.simulation.verdict import gates, judge
from gateway.simulation.verdict.problem import Problem
from gateway.simulation.verdict.record import Agreed, Record
from gateway.simulation.world import COIN, World
from htlc import events
from htlc.model import Agreement, Leg, Role, swap_id
from relayer.client.store import METADATA, client_swaps
from relayer.pump import observations, swaps

_FINAL: dict[Any, Any] = {
    events.LockSeen: events.LockFinal,
    events.ClaimSeen: events.ClaimFinal,
    events.RefundSeen: events.RefundFinal,
}
FEE = FeeBid(2_100, 100)
PREIMAGE = Preimage(bytes(range(32)))
EARLY_S = 1.0
"""When the swap is agreed on; everything that follows has all the time in the world."""


def calm(name: str) -> Party:
    return Party(name, operators=1, lie=None, rates=FaultRates())


def deal(style: Style = Style.HONEST, number: int = 0, **changes: Any) -> Deal:
    made = Deal(number, A, True, 1_000, 1.0, style, 0, False, 3.0, False)
    return replace(made, **changes)


def plan(**changes: Any) -> Plan:
    made = Plan(
        seed=0,
        deals=(),
        relayers=(calm("relayer-0"),),
        dapps=(calm("dapp-0"),),
        tower=calm("tower"),
        fees=frozenset({A}),
        expiries=frozenset({B}),
        batches=frozenset(),
        block_time_s=dict.fromkeys(CHAINS, 1.0),
        skew_s=dict.fromkeys(CHAINS, 0),
        reorgs=(),
        spikes=(),
        rough=frozenset(),
    )
    return replace(made, **changes)


class Stage:
    """One relayer, one dApp, one tower, and one deal between the first two. Made inside `run_virtually`."""

    def __init__(self, **changes: Any) -> None:
        self.world = World(plan(**changes))
        self.relayer = Relayer(self.world, calm("relayer-0"))
        self.dapp = Dapp(self.world, calm("dapp-0"), self.relayer)
        self.tower = Relayer(self.world, calm("tower"), quotes=False)
        self.record = Record(self.world, [self.relayer], [self.dapp], self.tower)
        self.sequences: dict[tuple[str, ChainId], int] = {}
        self.mine(1)

    async def open(
        self, honest: bool = True, amount: int = 1_000, quote_s: int = 0, gap_s: int = 0, **of_deal: Any
    ) -> Agreed:
        """The deal, its databases, and one second. `quote_s` and `gap_s`: how much later the timelocks are."""
        for process in self.record.processes:
            await process.database.write(create_schema)
        await self.dapp.database.write(METADATA.create_all)
        await self.world.clock.sleep(EARLY_S)
        now_s = int(self.world.clock.now())
        needed = gates.needed(self.world.plan, A, B)
        t_b = now_s + needed.quote_s + 1 + quote_s
        t_a = t_b + needed.gap_s + 1 + gap_s
        number = len(self.record.agreed)
        hashlock = Preimage((number + 1).to_bytes(32, "big")).hashlock() if number else PREIMAGE.hashlock()
        first = LockTerms(
            COIN[A], BaseUnits(amount), self.dapp.accounts[A], self.relayer.accounts[A], hashlock, ChainTime(A, t_a)
        )
        second = LockTerms(
            COIN[B], BaseUnits(2 * amount), self.relayer.accounts[B], self.dapp.accounts[B], hashlock, ChainTime(B, t_b)
        )
        agreed = Agreed(
            deal(number=number, **of_deal),
            swap_id(first, second),
            first,
            second,
            now_s + POLICY.lock_s,
            self.world.clock.now(),
            self.relayer.name,
            self.dapp.name if honest else None,
        )
        self.record.agreed.append(agreed)
        return agreed

    # --- chains ---

    def mine(self, count: int = 3) -> None:
        """Three blocks make what the first of them holds final."""
        for chain in self.world.memory.values():
            chain.mine(count)

    async def pass_to(self, at_s: float) -> None:
        """Nothing happens until then, but for a block right before: chains do not stand still."""
        await self.world.clock.sleep(max(0.0, at_s - 1 - self.world.clock.now()))
        self.mine(1)
        await self.world.clock.sleep(at_s - self.world.clock.now())

    async def sign(
        self, process: Process, unsigned: UnsignedTransaction, sequence: int | None = None, **bid: Any
    ) -> bytes:
        """Signed bytes under the next sequence, or under the one given."""
        chain = unsigned.chain
        place = process.name, chain
        if sequence is None:
            sequence = self.sequences.get(place, 0)
            self.sequences[place] = sequence + 1
        sender = self.world.chains[chain].access().transactions
        fee = bid.get("fee", FEE) if chain in self.world.plan.fees else None
        request = sender.assemble(unsigned, sequence, fee, bid.get("expiry"))
        return sender.attach(request, await process.signers[chain].sign(request)).raw

    async def send(
        self, process: Process, unsigned: UnsignedTransaction, sequence: int | None = None, **bid: Any
    ) -> None:
        """Sign it, note it, give it to the chain."""
        raw = await self.sign(process, unsigned, sequence, **bid)
        self.note(process, unsigned.chain, raw)
        self.world.memory[unsigned.chain].take(raw)

    def note(self, process: Process, chain: ChainId, raw: bytes) -> None:
        """As if it had been sent and taken, whatever the chain would say."""
        self.world.wire.note(process.name, chain, raw)
        self.world.wire.accepted.add(raw)

    # --- steps of a swap ---

    def lock_of(self, terms: LockTerms, number: int = 0) -> tuple[UnsignedTransaction, LockId]:
        place = LockId(f"{terms.sender.rsplit(':', 1)[1]}/{number}")
        return self.world.chains[terms.chain].access().legs.lock(terms, place), place

    async def lock(self, process: Process, terms: LockTerms, number: int = 0, **bid: Any) -> LockId:
        unsigned, place = self.lock_of(terms, number)
        await self.send(process, unsigned, **bid)
        self.mine()
        return place

    async def claim(self, process: Process, terms: LockTerms, place: LockId, **bid: Any) -> None:
        legs = self.world.chains[terms.chain].access().legs
        await self.send(process, legs.claim(terms, place, PREIMAGE, process.accounts[terms.chain]), **bid)
        self.mine()

    async def refund(self, process: Process, terms: LockTerms, place: LockId, **bid: Any) -> None:
        legs = self.world.chains[terms.chain].access().legs
        await self.send(process, legs.refund(terms, place, process.accounts[terms.chain]), **bid)
        self.mine()

    async def played(self, **changes: Any) -> Agreed:
        """Both lock, both claim."""
        agreed = await self.open(**changes)
        first = await self.lock(self.dapp, agreed.initiator_leg)
        second = await self.lock(self.relayer, agreed.participant_leg)
        await self.claim(self.dapp, agreed.participant_leg, second)
        await self.claim(self.relayer, agreed.initiator_leg, first)
        return agreed

    # --- databases ---

    async def begun(self, process: Process, agreed: Agreed, role: Role) -> None:
        """The swap as it stands in the process's database at the beginning."""
        agreement = Agreement(
            swap_id=agreed.swap_id,
            role=role,
            initiator_leg=agreed.initiator_leg,
            participant_leg=agreed.participant_leg,
            initiator_timing=TIMING,
            participant_timing=TIMING,
            policy=POLICY,
            lock_deadline_s=agreed.lock_deadline_s,
        )
        now_s = int(self.world.clock.now())
        await process.database.write(lambda c: swaps.begin(c, agreement, None, now_s=now_s, now_ns=now_s * 10**9))

    async def told(self, process: Process, agreed: Agreed, *happened: events.SwapEvent) -> None:
        for one in self.world.histories.values():
            one.look()
        now_ns = self.world.clock.now_ns()
        await process.database.write(lambda c: swaps.take(c, agreed.swap_id, happened, now_ns=now_ns))

    def history(self, agreed: Agreed) -> list[Any]:
        """Return what a relayer's journal would hold of what the chains show: sightings, each final at once."""
        told: list[Any] = []
        for leg, terms in zip(Leg, agreed.legs, strict=True):
            chain = self.world.chains[terms.chain]
            for height in range(chain.height + 1):
                for logged in chain.block(Height(height)).events:
                    if getattr(logged.event, "hashlock", None) == agreed.hashlock or isinstance(logged.event, Locked):
                        seen: Any = observations.seen(leg, logged)
                        told += [seen, _FINAL[type(seen)](leg, seen.lock_id, seen.block)]
        return told

    async def keep_secret(self, preimage: Preimage = PREIMAGE) -> None:
        """The preimage is in its owner's store."""
        row = {"quote_id": "q", "hashlock": preimage.hashlock(), "preimage": preimage.expose(), "quote": b""}
        await self.dapp.database.write(lambda c: c.execute(sa.insert(client_swaps), {**row, "created_ns": 0}))

    async def problems(self) -> list[Problem]:
        return await judge.problems(self.record)
