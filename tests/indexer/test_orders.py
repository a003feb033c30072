"""The projection of orders: every half is stored as the chain has it, and goes with its block."""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from core.model.facts import Block, BlockHeader, LoggedEvent, OrderSigned, OrderStep
from core.model.types import AccountId, BlockRef, ChainId, ChainTime, Height
from core.runtime.database import InlineDatabase, create_schema
from indexer import tables
from indexer.encoding import EVENT_COLUMNS, decode_event, event_values
from indexer.projections import orders
from indexer.projections.orders import OrderRow, order_row

CHAIN = ChainId("causeway:devnet-1")
accounts = st.binary(min_size=20, max_size=20).map(lambda raw: AccountId(f"{CHAIN}:{raw.hex()}"))
halves = st.builds(
    OrderSigned,
    st.integers(1, 2**63 - 1),
    st.sampled_from(OrderStep),
    accounts,
    accounts,
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=256),
    st.just(b"") | st.binary(min_size=32, max_size=32),
    st.integers(0, 2**40 - 1),
    st.integers(0, 2**63 - 1),
)


class Row:
    def __init__(self, event: OrderSigned) -> None:
        for name, value in zip(EVENT_COLUMNS, event_values(event), strict=True):
            setattr(self, name, value)


@given(halves)
def test_half_of_an_order_survives_its_row(half: OrderSigned) -> None:
    assert decode_event(Row(half)) == half


def block(height: int, events: Sequence[OrderSigned]) -> Block:
    ref = BlockRef(CHAIN, Height(height), hashlib.sha256(b"%d" % height).digest())
    header = BlockHeader(ref, bytes(32), ChainTime(CHAIN, 1_000 + height))
    return Block(header, tuple(LoggedEvent(ref, bytes([place]) * 32, place, one) for place, one in enumerate(events)))


@given(st.lists(st.lists(halves, max_size=4), min_size=1, max_size=5), st.integers(0, 5))
async def test_stored_halves_are_those_of_the_blocks(content: list[list[OrderSigned]], kept: int) -> None:
    database = InlineDatabase("sqlite://")
    await database.write(lambda c: create_schema(c, tables.TABLES))
    blocks = [block(height, events) for height, events in enumerate(content, 1)]

    def work(connection: sa.Connection) -> list[OrderRow]:
        orders.apply(connection, blocks)
        gone = [one.header.ref.hash for one in reversed(blocks[kept:])]
        orders.revert(connection, CHAIN, gone)
        row = tables.orders.c
        return [
            order_row(one) for one in connection.execute(sa.select(tables.orders).order_by(row.height, row.event_index))
        ]

    expected = [
        OrderRow(one, made.header.ref, place, bytes([place]) * 32, made.header.time.seconds)
        for made, events in zip(blocks[:kept], content, strict=False)
        for place, one in enumerate(events)
    ]
    assert await database.write(work) == expected
    await database.close()
