"""Files of orders: every half survives its file, and no file says another half than it seems to."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.consortium import caip_account
from core.model.consortium_orders import (
    ApproveLift,
    ApproveOrder,
    OrderMessage,
    OrderTerms,
    PrepareLift,
    PrepareOrder,
    reason_fault,
)
from core.model.errors import RejectedError
from core.model.types import ChainId
from regulator_api.drafts import (
    MAX_COUNT,
    MAX_FILE_BYTES,
    Half,
    decode_draft,
    encode_draft,
    half_of,
    in_words,
    signed_half,
    to_draft,
)

CHAIN = ChainId("causeway:devnet-1")
raw20 = st.binary(min_size=20, max_size=20)
reasons = st.text(max_size=60).filter(lambda text: not reason_fault(text))
numbers = st.integers(0, MAX_COUNT)
terms = st.builds(OrderTerms, raw20, reasons, st.binary(min_size=32, max_size=32), st.integers(1, 2**40 - 1))
messages: st.SearchStrategy[OrderMessage] = st.one_of(
    st.builds(PrepareOrder, terms),
    st.builds(ApproveOrder, numbers, terms),
    st.builds(PrepareLift, numbers, raw20, reasons),
    st.builds(ApproveLift, numbers, raw20, reasons),
)
halves = st.builds(Half, raw20.map(lambda raw: caip_account(CHAIN, raw)), numbers, numbers, messages)
GOOD = to_draft(
    Half(caip_account(CHAIN, bytes(20)), 3, 500, ApproveOrder(7, OrderTerms(b"x" * 20, "fraud", bytes(32), 99)))
)


@given(halves)
def test_every_half_survives_its_file(half: Half) -> None:
    assert half_of(decode_draft(encode_draft(to_draft(half)))) == half


@given(halves)
def test_officer_reads_what_is_signed(half: Half) -> None:
    shown = dict(in_words(half))
    message = half.message
    signed = message.terms if isinstance(message, PrepareOrder | ApproveOrder) else message
    assert shown["address"] == caip_account(CHAIN, signed.address)
    assert shown["reason"] == signed.reason
    assert ("held until" in shown) is isinstance(message, PrepareOrder | ApproveOrder)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_draft_are_refused(raw: bytes) -> None:
    with pytest.raises(RejectedError):
        decode_draft(raw)


def test_large_file_is_refused() -> None:
    with pytest.raises(RejectedError, match="at most"):
        decode_draft(encode_draft(GOOD) + b" " * MAX_FILE_BYTES)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chain": "causeway:other"}, "is not an account of causeway:other"),
        ({"officer": "nobody"}, "CAIP-10|account"),
        ({"account": "causeway:devnet-1:zz"}, "CAIP-10|account|40"),
        ({"reason": "two\nlines"}, "reason cannot stand"),
        ({"case": None}, "has a case and an expiry"),
        ({"expires": None}, "has a case and an expiry"),
        ({"case": "00"}, "64 hex digits"),
        ({"case": " " * 64}, "64 hex digits"),
        ({"order": None}, "has an order's number"),
        ({"step": "prepare"}, "has no order's number yet"),
        ({"step": "prepare-lift"}, "has neither case nor expiry"),
    ],
)
def test_draft_that_contradicts_itself_is_refused(changes: dict[str, str | None], sentence: str) -> None:
    with pytest.raises(RejectedError, match=sentence):
        half_of(msgspec.structs.replace(GOOD, **changes))


@pytest.mark.parametrize("transaction", ["zz", "", "80", "93" + "00" * 40])
def test_transaction_that_is_none_is_refused(transaction: str) -> None:
    with pytest.raises(RejectedError):
        signed_half(msgspec.structs.replace(GOOD, transaction=transaction))
