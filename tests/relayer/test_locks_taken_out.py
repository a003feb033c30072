"""Whatever closes, drops and fills up: a form of a batch of locks never has in it what was over when it was signed."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from adapters.memory.transactions import Batch, Lock, decode_wire
from core.model.facts import Locked
from core.model.transactions import FeeMarket, UnsignedTransaction
from core.model.types import BaseUnits, ChainTime, Hashlock, Height, LockId, LockTerms
from relayer.transactions import records
from relayer.transactions.fees import FeePolicy
from relayer.transactions.pipeline import Pipeline
from relayer.transactions.records import TransactionRecord, TransactionStatus
from tests.relayer.test_exits import MARKET
from tests.relayer.test_transactions import CHAIN, COIN, House

MOST = 5
LATEST_S = 60


@dataclass(frozen=True)
class Step:
    """One second: gates that close for good, and if blocks take anything or nodes forget everything."""

    closes: frozenset[int]
    takes: bool
    forgets: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.frozensets(st.integers(0, MOST - 1), max_size=2),
        st.sampled_from((False, False, False, True)),
        st.sampled_from((False, False, True)),
    ),
    min_size=1,
    max_size=12,
)


class Several(House):
    """Locks of one account, sent as one transaction; each has a deadline, and a gate that the test closes."""

    expiry_blocks = 4

    def __init__(self, market: FeeMarket | None, count: int) -> None:
        super().__init__(market)
        self.keys = [f"s{number}:1:fund-participant" for number in range(count)]
        self.closed: dict[str, float] = {}
        address = self.signer.account.rsplit(":", 1)[1]
        self.places = [LockId(f"{address}/{number}") for number in range(count)]
        self.terms = [
            LockTerms(
                COIN,
                BaseUnits(10 + number),
                self.signer.account,
                self.other.account,
                Hashlock(bytes([number + 1]) * 32),
                ChainTime(CHAIN, int(self.clock.now()) + 1_000),
            )
            for number in range(count)
        ]

    def batch(self, numbers: Sequence[int]) -> UnsignedTransaction:
        locks = [self.access.legs.lock(self.terms[number], self.places[number]) for number in numbers]
        assert self.access.batches is not None
        return locks[0] if len(locks) == 1 else self.access.batches.locks(locks)

    async def begin(self, deadlines_s: Sequence[int]) -> None:
        pipeline = await self.restart()
        every, now_s = self.batch(range(len(self.keys))), self.clock.now()
        asked = await pipeline.ask_for_lock(every)
        at_s = [now_s + one for one in deadlines_s]
        await pipeline.send_locks(self.keys, at_s, every, every, asked, lambda _: None, {})
        self.deadlines = dict(zip(self.keys, at_s, strict=True))

    async def restart(self) -> Pipeline:
        pipeline = await self.start(expiry_blocks=self.expiry_blocks, fees=FeePolicy(patience_s=2.0))
        pipeline.closed_gate = self._closed
        pipeline.compose = self._composed
        return pipeline

    def _closed(self, _: Connection, key: str, in_time: bool) -> str | None:
        """Every second lock's gate is one of time alone."""
        return "closed" if key in self.closed and (in_time or self.keys.index(key) % 2) else None

    async def _composed(self, keys: Sequence[str]) -> UnsignedTransaction:
        return self.batch([self.keys.index(key) for key in keys])

    async def record(self) -> TransactionRecord:
        found = {one.id: one for one in [await self.pipeline.transaction(key) for key in self.keys] if one is not None}
        [record] = found.values()
        return record

    def is_over(self, number: int, at_s: float) -> bool:
        key = self.keys[number]
        return at_s >= self.deadlines[key] or self.closed.get(key, at_s + 1) < at_s

    def locked(self) -> list[int]:
        events = [
            one.event
            for height in range(self.chain.height + 1)
            for one in self.chain.block(Height(height)).events
            if isinstance(one.event, Locked)
        ]
        return sorted(self.places.index(event.lock_id) for event in events)

    def holds(self, raw: bytes) -> list[int]:
        message = decode_wire(raw).body.message
        items = message.items if isinstance(message, Batch) else (message,)
        return [self.places.index(LockId(item.lock_id)) for item in items if isinstance(item, Lock)]


@settings(max_examples=60, deadline=None)
@given(STEPS, st.lists(st.integers(3, LATEST_S), min_size=2, max_size=MOST), st.booleans(), st.booleans())
async def test_what_is_over_is_in_no_form_that_is_signed_after_it(
    steps: list[Step], deadlines_s: list[int], fees: bool, restarts: bool
) -> None:
    house = Several(MARKET if fees else None, len(deadlines_s))
    await house.begin(deadlines_s)
    for number, step in enumerate(steps):
        if restarts and number == len(steps) // 2:
            await house.restart()
        for one in step.closes & set(range(len(deadlines_s))):
            house.closed.setdefault(house.keys[one], house.clock.now())
        if step.forgets:
            for tx_hash in house.chain.pending():
                house.chain.forget(tx_hash)
        await house.beat(1, accept=lambda _, takes=step.takes: takes)  # type: ignore[misc]
    await house.beat(LATEST_S)
    record = await house.record()
    for number, attempt in enumerate(record.attempts):
        held = house.holds(attempt.raw)
        assert (
            held == [] if attempt.cancels else held == [n for n in range(len(deadlines_s)) if n not in attempt.without]
        )
        signed_s = attempt.signed_ns / 10**9
        assert number == 0 or not [one for one in held if house.is_over(one, signed_s)]
    assert record.status in (TransactionStatus.FINAL, TransactionStatus.SUPERSEDED, TransactionStatus.EXPIRED)
    done = [n for n, item in enumerate(record.items) if record.included and item.left_out is None]
    assert house.locked() == done
    assert {one.sequence for one in await house.database.read(_all)} == {record.sequence}


def _all(connection: Connection) -> list[TransactionRecord]:
    return records.of_effect_prefix(connection, "")
