"""The fees of an operator's relayer, out of its transactions and their receipts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from core.model.types import AccountId, AssetId, BlockRef, ChainId, Height
from core.runtime.clock import NS_PER_S
from core.runtime.database import Database
from gateway import fees
from gateway.fees import FeeBook, Fees
from htlc.model import SWAP_ID_BYTES
from relayer.transactions import records
from relayer.transactions.records import Item, SignedForm, TransactionRecord, TransactionStatus

CHAIN = ChainId("eip155:1")
COIN = AssetId(f"{CHAIN}/slip44:60")
OURS, FORMER = AccountId(f"{CHAIN}:ours"), AccountId(f"{CHAIN}:former")
NOW_NS = 10 * fees.WEEK_S * NS_PER_S
SWAP, OTHER = "ab" * SWAP_ID_BYTES, "cd" * SWAP_ID_BYTES


def record(number: int, age_s: int = 60, *effects: str, **changes: Any) -> TransactionRecord:
    signed = SignedForm(bytes([number]) * 32, b"", None, None, 0)
    made = TransactionRecord(
        id=number,
        effect_key=f"{number}",
        chain=CHAIN,
        account=OURS,
        sequence=number,
        status=TransactionStatus.FINAL,
        summary="",
        body=None,
        deadline_ns=None,
        created_ns=NOW_NS - age_s * NS_PER_S,
        tx_hash=signed.hash,
        block=BlockRef(CHAIN, Height(number), bytes(32)),
        reverted=False,
        reason=None,
        attempts=(signed,),
        items=tuple(Item(f"{swap}:claim") for swap in effects),
    )
    return replace(made, **changes)


class Receipts:
    """A chain whose transactions cost ten times their number; it forgot number 9."""

    asset = COIN

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def paid(self, tx_hashes: Sequence[bytes]) -> list[int | None]:
        self.asked += [one[0] for one in tx_hashes]
        return [None if one[0] == 9 else one[0] * 10 for one in tx_hashes]


class Kept:
    """A database of these transactions."""

    def __init__(self, *rows: TransactionRecord) -> None:
        self.rows = rows

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return work(self)


async def look(book: FeeBook, receipts: Receipts, *rows: TransactionRecord, monkeypatch: Any) -> list[Fees]:
    def newest(kept: Kept, most: int, chain: ChainId, since_ns: int) -> list[TransactionRecord]:
        return [one for one in kept.rows if one.chain == chain and one.created_ns > since_ns][:most]

    monkeypatch.setattr(records, "newest", newest)
    return await book.look(cast("Database", Kept(*rows)), {CHAIN: receipts}, NOW_NS)


async def test_fees_are_of_a_day_a_week_and_each_swap(monkeypatch: Any) -> None:
    book, receipts = FeeBook(), Receipts()
    rows = (
        record(1, 60, SWAP),
        record(2, 60, SWAP, OTHER),
        record(3, fees.DAY_S + 60, SWAP, reverted=True),
        record(4, 60),
        record(5, 60, SWAP, status=TransactionStatus.INCLUDED),
        record(6, fees.WEEK_S + 60, SWAP),
        record(7, 60, block=None, tx_hash=None, status=TransactionStatus.BROADCAST),
        record(8, 60, account=FORMER),
        record(9, 60),
        record(10, 60, chain=ChainId("causeway:one")),
    )
    former, ours = await look(book, receipts, *rows, monkeypatch=monkeypatch)
    assert (former.account, former.week, former.per_swap, former.swaps) == (FORMER, 80, None, 0)
    assert (ours.day, ours.week) == (10 + 20 + 40 + 50, 10 + 20 + 30 + 40 + 50)
    assert (ours.transactions, ours.failed, ours.unknown, ours.whole) == (5, 1, 1, True)
    assert (ours.swaps, ours.per_swap) == (2, (10 + 20 + 30 + 50) // 2), (
        "an allowance of all swaps belongs to none of them"
    )

    receipts.asked.clear()
    assert await look(book, receipts, *rows, monkeypatch=monkeypatch) == [former, ours]
    assert sorted(receipts.asked) == [5, 9], "what is final is not asked for again"


async def test_a_week_beyond_the_bound_is_counted_in_part(monkeypatch: Any) -> None:
    monkeypatch.setattr(fees, "MAX_TRANSACTIONS", 2)
    [ours] = await look(FeeBook(), Receipts(), *(record(n) for n in (1, 2, 3)), monkeypatch=monkeypatch)
    assert (ours.week, ours.whole) == (30, False)
