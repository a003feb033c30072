"""Lanes for locks, however many are in use, and payees that a lock may not have."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.conformance.harness import make_terms
from adapters.evm import legs as module
from adapters.evm.endpoints import Endpoint, Endpoints
from adapters.evm.legs import EvmLegBuilder
from adapters.evm.names import account, native_asset, token_asset
from adapters.evm.rpc import Call
from adapters.evm.signed_locks import SignedLocks
from core.model.errors import RejectedError, RetryableError
from core.model.types import AssetId, BaseUnits, ChainTime, Hashlock, LockId, LockTerms, Preimage
from core.proofs.lanes import MAX_LANE, Lane, evm_address, lane_lock_id, lane_slot, parse_lane
from tests.adapters.evm.endpoint import MiddleMan
from tests.adapters.evm.harness import CHAIN, EvmHarness

SENDER, RECEIVER, HTLC = b"\x11" * 20, b"\x22" * 20, b"\x33" * 20
OPEN_WORD = 7 << 32 | 5 << 16 | 1
SETTLED_WORD = 7 << 32 | 5 << 16 | 2
READS_MOST = 2
CALLS_MOST = 30
"""Of one read: few enough for a provider that takes few calls a request."""


class Words:
    """The state of a chain, as far as lanes go; counts how often it is asked."""

    def __init__(self, words: Callable[[int], int]) -> None:
        self.words = words
        self.reads = 0
        self.senders = {int.from_bytes(SENDER, "big")}
        self.held: dict[int, asyncio.Event] = {}
        """Reads of a sender's lanes that are not answered before this is set."""

    async def batch(self, calls: Sequence[Call]) -> list[str]:
        self.reads += 1
        assert len(calls) <= CALLS_MOST
        assert {(call.method, call.params[2]) for call in calls} == {("eth_getStorageAt", "latest")}
        slots = [int(call.params[1], 16) for call in calls]
        [sender] = {slot >> 96 for slot in slots}
        assert sender in self.senders
        await asyncio.sleep(0)
        if sender in self.held:
            await self.held[sender].wait()
        return [hex(self.words(slot & MAX_LANE)) for slot in slots]


def builder(chain: Any) -> EvmLegBuilder:
    return EvmLegBuilder(CHAIN, chain, HTLC)


def terms_of(receiver: bytes = RECEIVER, asset: AssetId | None = None) -> LockTerms:
    return LockTerms(
        asset or native_asset(CHAIN),
        BaseUnits(1),
        account(CHAIN, SENDER),
        account(CHAIN, receiver),
        Hashlock(bytes(31) + b"\1"),
        ChainTime(CHAIN, 10**9),
    )


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("used", [0, 1, 8, 30, 100, 1_000, 1_024, 5_000, 1_000_000])
async def test_used_lanes_cost_two_reads_at_most(used: int, listed: bool) -> None:
    if listed and used > 5_000:
        used = 5_000
    chain = Words(lambda lane: OPEN_WORD if lane < used else 0)
    legs = builder(chain)
    taken = [lane_lock_id(Lane(SENDER, number, 5)) for number in range(used)] if listed else []
    for _ in range(3):
        chain.reads = 0
        place = parse_lane(await legs.lock_id(terms_of(), taken))
        assert place.number not in range(used)
        assert place.generation == 1
        assert chain.reads <= READS_MOST
        taken.append(lane_lock_id(place))
    assert len(set(taken)) == len(taken)


async def test_places_that_no_chain_shows_yet_cost_one_read() -> None:
    chain = Words(lambda lane: 0)
    legs = builder(chain)
    taken: list[LockId] = []
    for number in range(40):
        taken.append(await legs.lock_id(terms_of(), taken))
        assert taken[-1] == lane_lock_id(Lane(SENDER, number, 1))
    assert chain.reads == 40


async def test_locks_side_by_side_are_shown_a_lane_each() -> None:
    """Before any of them is written down, by a read for many of them. The same lock that asks again may be shown the
    same."""
    chain = Words(lambda lane: OPEN_WORD if lane < 5 else 0)
    legs = builder(chain)
    many = [replace(terms_of(), hashlock=Hashlock(bytes([number]) * 32)) for number in range(1, 51)]
    places = await asyncio.gather(*(legs.lock_id(terms) for terms in many))
    assert sorted(parse_lane(place).number for place in places) == list(range(5, 55))
    assert chain.reads <= 15
    assert await legs.lock_id(many[0]) == places[0]


async def test_a_read_from_before_a_lock_asked_is_not_believed() -> None:
    """A lane that was free then may be in use since, also by a lock that nobody has listed."""
    used = 0
    chain = Words(lambda lane: OPEN_WORD if lane < used else 0)
    legs = builder(chain)
    assert parse_lane(await legs.lock_id(terms_of())).number == 0
    used = 3
    later = await legs.lock_id(replace(terms_of(), hashlock=Hashlock(bytes(31) + b"\2")))
    assert (parse_lane(later).number, chain.reads) == (3, 2)


async def test_lanes_shown_to_another_sender_change_nothing() -> None:
    """A lane that was shown while another sender's read was under way is remembered after that read as well."""
    chain, other = Words(lambda lane: 0), b"\x44" * 20
    go = chain.held[int.from_bytes(other, "big")] = asyncio.Event()
    chain.senders.add(int.from_bytes(other, "big"))
    legs = builder(chain)
    slow = asyncio.create_task(legs.lock_id(replace(terms_of(), sender=account(CHAIN, other))))
    await asyncio.sleep(0)
    first = await legs.lock_id(terms_of())
    go.set()
    assert parse_lane(await slow).number == 0
    second = await legs.lock_id(replace(terms_of(), hashlock=Hashlock(bytes(31) + b"\2")))
    assert [parse_lane(first).number, parse_lane(second).number] == [0, 1]


async def test_lane_that_was_not_used_is_shown_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HANDED_S", 0.0)
    legs = builder(Words(lambda lane: 0))
    first, second = terms_of(), replace(terms_of(), hashlock=Hashlock(bytes(31) + b"\2"))
    assert await legs.lock_id(first) == await legs.lock_id(second)


async def test_a_low_lane_that_settled_is_used_again() -> None:
    """A used word is 17,100 gas cheaper than a fresh one, also of a lane that `taken` still names."""
    chain = Words(lambda lane: SETTLED_WORD if lane == 3 else OPEN_WORD if lane < 50 else 0)
    legs = builder(chain)
    assert await legs.lock_id(terms_of()) == lane_lock_id(Lane(SENDER, 3, 6))
    past = [lane_lock_id(Lane(SENDER, number, 5)) for number in range(50)]
    assert await legs.lock_id(terms_of(), past) == lane_lock_id(Lane(SENDER, 3, 6))
    assert await legs.lock_id(terms_of(), [*past, lane_lock_id(Lane(SENDER, 3, 6))]) == lane_lock_id(
        Lane(SENDER, 50, 1)
    )


@given(st.sets(st.integers(0, 200)), st.sets(st.integers(0, 200)), st.sets(st.integers(0, 200)))
async def test_whatever_is_in_use_a_free_lane_is_found(busy: set[int], settled: set[int], unmined: set[int]) -> None:
    words = dict.fromkeys(settled, SETTLED_WORD) | dict.fromkeys(busy, OPEN_WORD)
    chain = Words(lambda lane: words.get(lane, 0))
    legs = builder(chain)
    taken = [lane_lock_id(Lane(SENDER, number, 6 if number in words else 1)) for number in unmined]
    place = parse_lane(await legs.lock_id(terms_of(), taken))
    assert place.number not in busy | unmined
    assert place.generation == (6 if place.number in settled else 1)
    assert chain.reads <= READS_MOST


async def test_no_free_lane_at_all_is_worth_a_retry() -> None:
    legs = builder(Words(lambda lane: OPEN_WORD))
    with pytest.raises(RetryableError, match="no free lane"):
        await legs.lock_id(terms_of())


async def test_lanes_far_up_are_found_on_a_chain(evm: EvmHarness, liar: MiddleMan) -> None:
    """No node is asked for finalized state, which many do not have."""
    liar.tamper = lambda method, params, result: result if "finalized" not in params else 1 / 0
    sender, receiver = await evm.account(), await evm.account()
    terms = await make_terms(evm, sender, receiver, Preimage.generate())
    htlc = evm_address(evm.contracts.htlc)
    lanes = [Lane(evm_address(sender.account), number, 5) for number in range(1_100)]
    requests = [
        {
            "jsonrpc": "2.0",
            "id": lane.number,
            "method": "anvil_setStorageAt",
            "params": ["0x" + htlc.hex(), f"0x{lane_slot(lane):064x}", f"0x{OPEN_WORD:064x}"],
        }
        for lane in lanes
    ]
    async with aiohttp.ClientSession() as session, session.post(evm.anvil.rpc_url, json=requests) as response:
        assert len(await response.json()) == len(lanes)
    pool = Endpoints([Endpoint(liar.url)])
    legs = EvmLegBuilder(CHAIN, pool, htlc)
    try:
        for most in (READS_MOST, 1):
            liar.requests = 0
            place = await legs.lock_id(terms)
            assert liar.requests <= most
            await evm.send(sender, legs.lock(terms, place))
            assert parse_lane(place).number >= len(lanes)
            terms = await make_terms(evm, sender, receiver, Preimage.generate())
    finally:
        await pool.close()


@pytest.mark.parametrize("receiver", [HTLC, bytes(20)], ids=["the contract", "nobody"])
async def test_nothing_is_built_for_a_receiver_that_is_refused(receiver: bytes) -> None:
    chain = Words(lambda lane: 0)
    legs = builder(chain)
    place, until = lane_lock_id(Lane(SENDER, 0, 1)), ChainTime(CHAIN, 10)
    native, token = terms_of(receiver), terms_of(receiver, token_asset(CHAIN, b"\x44" * 20))
    with pytest.raises(RejectedError, match="the receiver is"):
        await legs.lock_id(native)
    with pytest.raises(RejectedError, match="the receiver is"):
        await legs.prepare(token)
    with pytest.raises(RejectedError, match="the receiver is"):
        legs.lock(native, place)
    signed = SignedLocks(CHAIN, cast(Any, chain), HTLC)
    with pytest.raises(RejectedError, match="the receiver is"):
        signed.permit2(token, place, until)
    for draft in (signed.permit, signed.authorization):
        with pytest.raises(RejectedError, match="the receiver is"):
            await draft(token, place, until)
    assert chain.reads == 0
    assert legs.lock(replace(native, receiver=account(CHAIN, RECEIVER)), place)
