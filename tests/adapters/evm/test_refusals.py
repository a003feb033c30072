"""The refusals of clients and providers, sentence by sentence, become what to do; unknown sentences decide nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evm.errors import AlreadyKnownError, translate
from core.model.errors import CausewayError, UnclearRefusalError
from tests.adapters.evm.refusals import CALLING, NOT_OFFERED, SENDING, TOO_LONG, Said

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def named(rows: list[Said]) -> list[object]:
    return [pytest.param(row, id=f"{row.client}: {row.sentence[:40]}") for row in rows]


@pytest.mark.parametrize("row", named(SENDING))
def test_refused_transaction_becomes_what_to_do(row: Said) -> None:
    assert type(translate("eth_sendRawTransaction", row.code, row.sentence)) is row.kind


@pytest.mark.parametrize("row", named(SENDING))
def test_words_around_a_refusal_change_nothing(row: Said) -> None:
    """Proxies and sequencers put their own words before it, in other letters."""
    if row.kind is not UnclearRefusalError and not row.sentence.startswith("Invalid,"):
        wrapped = f"rpc error at upstream 3: {row.sentence.upper()}"
        assert type(translate("eth_sendRawTransaction", row.code, wrapped)) is row.kind


@pytest.mark.parametrize("row", named(SENDING))
def test_refusal_in_the_error_data_counts_too(row: Said) -> None:
    if row.kind is not UnclearRefusalError:
        assert type(translate("eth_sendRawTransaction", -32000, "Bad request", row.sentence)) is row.kind


@pytest.mark.parametrize("row", named(CALLING))
def test_refused_call_becomes_what_to_do(row: Said) -> None:
    assert type(translate("eth_call", row.code, row.sentence)) is row.kind


@pytest.mark.parametrize("row", named(TOO_LONG))
def test_refused_range_is_distinguished_from_trouble(row: Said) -> None:
    assert type(translate("eth_getLogs", row.code, row.sentence)) is row.kind


@pytest.mark.parametrize("row", named(NOT_OFFERED))
def test_method_that_is_not_offered_is_recognised(row: Said) -> None:
    assert type(translate("eth_getBlockReceipts", row.code, row.sentence)) is row.kind


def test_unknown_transaction_type_is_not_already_known() -> None:
    assert not isinstance(translate("eth_sendRawTransaction", -32000, "unknown transaction type"), AlreadyKnownError)
    assert isinstance(translate("eth_sendRawTransaction", -32000, "Known transaction"), AlreadyKnownError)


def test_revert_data_is_found_where_clients_put_it() -> None:
    told = "08c379a0" + (32).to_bytes(32, "big").hex() + (2).to_bytes(32, "big").hex() + "6e6f".ljust(64, "0")
    for data in (f"0x{told}", f"Reverted 0x{told}", {"data": f"0x{told}"}, {"result": f"0x{told}", "txHash": "0x"}):
        assert translate("eth_call", 3, "execution reverted", data).fields["reason"] == "no"


def test_control_characters_of_a_node_reach_no_message() -> None:
    error = translate("eth_call", 3, "execution reverted: \x00\x1b[2J\n" + "a" * 10_000)
    assert error.message.isprintable()
    assert len(error.message) < 1_000


@given(
    st.sampled_from(["eth_sendRawTransaction", "eth_call", "eth_getLogs", "debug_x"]), st.integers(), st.text(), JSON
)
def test_no_refusal_is_too_strange_to_translate(method: str, code: int, sentence: str, data: object) -> None:
    assert isinstance(translate(method, code, sentence, data), CausewayError)
