"""Lanes' names and generations, and decoding of whatever an endpoint calls a log."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from adapters.evm.contract_events import ContractDecoder
from adapters.evm.decode import TOPICS, RawLog, Sources, logged_events
from adapters.evm.lanes import event_lock_id, holds, next_use
from core.model.errors import RetryableError
from core.model.facts import LoggedEvent
from core.model.types import BlockRef, Height
from core.proofs.lanes import MAX_GENERATION, MAX_LANE, Lane, lane_lock_id, parse_lane
from tests.adapters.evm.harness import CHAIN

addresses = st.binary(min_size=20, max_size=20)
lanes = st.integers(0, MAX_LANE)
generations = st.integers(0, MAX_GENERATION)
hex_text = st.binary(max_size=200).map(lambda raw: "0x" + raw.hex())


@given(addresses, lanes, generations, st.integers(0, 2**40 - 1), st.integers(0, 2**160 - 1))
def test_an_event_names_the_lock_that_was_made(
    sender: bytes, number: int, generation: int, timelock: int, receiver: int
) -> None:
    terms = receiver << 96 | timelock << 56 | generation << 32 | number
    assert event_lock_id(sender, terms) == event_lock_id(sender, terms % 2**96)
    assert parse_lane(event_lock_id(sender, terms)) == Lane(sender, number, generation)
    assert event_lock_id(sender, terms) == lane_lock_id(Lane(sender, number, generation))


@given(addresses, lanes, generations, st.integers(0, 2**224 - 1))
def test_a_settled_lane_goes_on_with_the_next_generation(
    sender: bytes, number: int, generation: int, commitment: int
) -> None:
    word = commitment << 32 | generation << 16
    assert next_use(sender, number, word | 1) is None
    for settled in (2, 3):
        following = next_use(sender, number, word | settled)
        assert following == Lane(sender, number, (generation + 1) % 2**16)
    assert next_use(sender, number, 0) == Lane(sender, number, 1)


@given(addresses, lanes, generations)
def test_a_place_in_use_stands_in_the_way_and_the_past_does_not(sender: bytes, number: int, generation: int) -> None:
    candidate = Lane(sender, number, generation)
    assert holds(candidate, candidate)
    assert holds(Lane(sender, number, (generation + 1) % 2**16), candidate)
    assert not holds(Lane(sender, number, (generation - 1) % 2**16), candidate)
    assert not holds(Lane(sender, (number + 1) % 2**32, generation), candidate)
    assert not holds(Lane(bytes(20) if any(sender) else b"\x01" * 20, number, generation), candidate)


@given(st.sampled_from(TOPICS), st.lists(hex_text, max_size=3), hex_text, hex_text, st.booleans())
def test_no_log_is_too_strange(topic: str, topics: list[str], data: str, tx_hash: str, ours: bool) -> None:
    htlc = "0x" + "11" * 20
    raw = RawLog(htlc if ours else "0x" + "22" * 20, (topic, *topics), data, "0x" + "00" * 32, tx_hash, "0x0")
    with contextlib.suppress(RetryableError):
        sources = Sources(CHAIN, htlc, ["0x" + "22" * 20], ContractDecoder(CHAIN, {}))
        events = logged_events(BlockRef(CHAIN, Height(1), bytes(32)), sources, [raw])
        assert all(isinstance(event, LoggedEvent) for event in events)
