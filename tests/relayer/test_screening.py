"""Screening: what a list may be, whom it means, and that open swaps go on whatever it says."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.addresses import checksummed
from core.model.consortium_orders import HeldLeaf
from core.model.errors import RejectedError
from core.model.facts import Locked
from core.model.types import AccountId, BaseUnits, ChainId
from core.runtime.clock import ManualClock
from htlc.model import Leg, Phase
from relayer.provider.desk import SwapFilter
from relayer.provider.lists import MAX_LIST_BYTES, MAX_LISTED, parse_list
from relayer.provider.quoting import QuoteRequest
from relayer.provider.screening import LIST_AGE_S, MAX_LISTS, Screening
from relayer.pump import swaps
from tests.relayer.house import COIN, A, B, House, told

raw20 = st.binary(min_size=20, max_size=20)
BAD = "ab" * 20
MIXED = "0x" + checksummed("5aaeb6053f3e94c9b9a09f33669435e7ef1beaed")


def on(chain: str, digits: str) -> AccountId:
    return AccountId(f"{chain}:{'0x' if chain.startswith('eip155') else ''}{digits}")


# --- lists -----------------------------------------------------------------------------------------------------------


@given(st.lists(raw20, min_size=1, max_size=20), st.booleans())
def test_listed_address_is_meant_on_every_chain(listed: list[bytes], as_json: bool) -> None:
    spelled = [f"0x{raw.hex()}" if number % 2 else raw.hex().upper() for number, raw in enumerate(listed)]
    text = json.dumps(spelled) if as_json else "# a list\n" + "\n".join(f"  {one}  # why" for one in spelled)
    found = parse_list(text.encode())
    for raw in listed:
        assert all(found.names(on(chain, raw.hex())) for chain in ("eip155:1", "eip155:31337", "causeway:devnet-1"))
    assert not found.names(on("eip155:1", bytes(19).hex() + "77")) or bytes(19) + b"\x77" in listed


def test_account_of_one_chain_is_meant_there_alone() -> None:
    found = parse_list(f"eip155:1:0x{BAD}\ncauseway:devnet-1:{'cd' * 20}".encode())
    assert found.names(on("eip155:1", BAD))
    assert not found.names(on("eip155:2", BAD))
    assert not found.names(on("causeway:devnet-1", BAD))
    assert found.names(on("causeway:devnet-1", "cd" * 20))


def test_addresses_of_other_kinds_match_nothing() -> None:
    found = parse_list(f"{MIXED}\n12QtD5BFwRsdNsAZY76UVE1xyCGNTojH9h\nTXiVm9Qe5cZVbNXYR2bJfVTHsHrMo4qmSj".encode())
    assert (len(found.everywhere), found.elsewhere, len(found)) == (1, 2, 3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"0x{BAD}\n\n0x{BAD[:-1]}", "line 3: the EVM address .* has 39 digits"),
        (f"{BAD[:-1]}", "line 1: .* is not an address"),
        (f"{BAD}0", "line 1: .* is not an address"),
        (MIXED.swapcase().replace("0X", "0x"), "line 1: the checksum"),
        ("0x" + BAD + ", 0x" + BAD, "line 1: "),
        ("eip155:1:nobody", "line 1: "),
        ("one two", "line 1: 'one two' is not an address"),
        ("[]", "names no account"),
        ("", "names no account"),
        ("12QtD5BFwRsdNsAZY76UVE1xyCGNTojH9h", "names no account"),
        ('["0x' + BAD + '", 7]', "entry 2 is not a text"),
        ('["0x' + BAD + '", "0xab"]', "entry 2: "),
        ('["0x' + BAD + '"', "not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_list_with_anything_else_is_refused_whole(text: str, sentence: str) -> None:
    with pytest.raises(RejectedError, match=sentence):
        parse_list(text.encode())


def test_lists_are_bounded() -> None:
    with pytest.raises(RejectedError, match="bytes"):
        parse_list(b" " * (MAX_LIST_BYTES + 1))
    with pytest.raises(RejectedError, match=f"at most {MAX_LISTED} addresses"):
        parse_list(b"\n".join([BAD.encode()] * (MAX_LISTED + 1)))
    with pytest.raises(RejectedError, match="UTF-8"):
        parse_list(b"\xff")
    with pytest.raises(RejectedError, match=f"at most {MAX_LISTS} lists"):
        Screening([Path("x")] * (MAX_LISTS + 1), {}, ManualClock())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_or_refused(raw: bytes) -> None:
    with suppress(RejectedError):
        assert len(parse_list(raw)) > 0


# --- files -----------------------------------------------------------------------------------------------------------


def written(path: Path, text: str, at_s: int) -> None:
    path.write_text(text)
    os.utime(path, (at_s, at_s))


async def test_list_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    file, clock = tmp_path / "list.txt", ManualClock()
    written(file, BAD, 1)
    screening = Screening([file], {}, clock)
    good, bad = on("eip155:1", "cd" * 20), on("eip155:1", BAD)
    await screening.check([good])
    with pytest.raises(RejectedError, match=f"no swap with {bad}: it is on a list of addresses, list.txt"):
        await screening.check([good, bad])
    written(file, "cd" * 20, 2)
    await screening.check([good])
    await clock.advance(LIST_AGE_S)
    with pytest.raises(RejectedError):
        await screening.check([good])
    await screening.check([bad])


@pytest.mark.parametrize("text", ["nonsense here", None], ids=["malformed", "missing"])
async def test_list_that_cannot_be_read_stays_in_force(tmp_path: Path, text: str | None) -> None:
    file, clock = tmp_path / "list.txt", ManualClock()
    written(file, BAD, 1)
    screening = Screening([file], {}, clock)
    if text is None:
        file.unlink()
    else:
        written(file, text, 2)
    await clock.advance(LIST_AGE_S)
    with pytest.raises(RejectedError, match="list.txt"):
        await screening.check([on("eip155:1", BAD)])
    with pytest.raises(RejectedError, match="list.txt"):
        Screening([file], {}, clock)


async def test_hold_until_an_absurd_time_is_a_refusal() -> None:
    """An endpoint says so; nothing of it is proven."""

    class Ledger:
        async def held(self, account: AccountId) -> HeldLeaf:
            return HeldLeaf(7, 2**63)

    ledger: Any = Ledger()
    with pytest.raises(RejectedError, match=f"order 7 holds it until Unix time {2**63}"):
        await Screening([], {ChainId("eip155:1"): ledger}, ManualClock()).check([on("eip155:1", BAD)])


# --- in a relayer ----------------------------------------------------------------------------------------------------


def listing(house: House, tmp_path: Path, text: str, at_s: int) -> None:
    written(tmp_path / "list.txt", text, at_s)
    if house.screening is None:
        house.screening = Screening([tmp_path / "list.txt"], {}, house.clock)


@pytest.mark.parametrize("chain", [A, B], ids=["who gives", "who gets"])
def test_listed_party_opens_no_swap(chain: ChainId, tmp_path: Path) -> None:
    async def story(house: House) -> None:
        listing(house, tmp_path, house.initiator[chain].account, 1)
        await house.start()
        with pytest.raises(RejectedError, match="makes no swap with"):
            await house.open()
        assert not await house.service.desk.swaps(SwapFilter())
        gives, gets = house.initiator[A].account, house.initiator[B].account
        named = QuoteRequest(COIN[A], COIN[B], BaseUnits(1_000), initiator_sender=gives, initiator_receiver=gets)
        with pytest.raises(RejectedError, match="makes no swap with"):
            await house.service.desk.quote(named)
        with pytest.raises(RejectedError, match="is not on"):
            QuoteRequest(COIN[A], COIN[B], BaseUnits(1_000), initiator_sender=gets)

    told(story)


def test_party_listed_before_our_lock_gets_none(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        listing(house, tmp_path, BAD, 1)
        await house.start()
        view = await house.open()
        listing(house, tmp_path, house.initiator[A].account, 2)
        await house.clock.sleep(LIST_AGE_S)
        place = await house.lock(view.initiator.terms)
        await house.phase(view.id, Phase.ABANDONED)
        assert not house.made(B, Locked, view.hashlock)
        await house.clock.sleep(view.initiator.terms.timelock.seconds + 2 - house.clock.now())
        await house.refund(view.initiator.terms, place)
        assert set((await house.gains()).values()) == {(0, 0)}

    told(story)


def test_lock_signed_before_its_party_was_listed_is_refused(tmp_path: Path) -> None:
    """The bytes that an earlier process signed may not have left yet."""

    async def story(house: House) -> None:
        listing(house, tmp_path, BAD, 1)
        await house.start()
        view = await house.open()
        state = await house.database.read(lambda c: swaps.load(c, view.id))
        assert house.screening is not None
        await house.screening.before_repeating(state)
        listing(house, tmp_path, house.initiator[A].account, 2)
        await house.clock.sleep(LIST_AGE_S)
        with pytest.raises(RejectedError, match="makes no swap with"):
            await house.screening.before_repeating(state)
        await house.screening.before_reveal(state)

    told(story)


def test_open_swap_of_a_listed_party_goes_to_its_end(tmp_path: Path) -> None:
    async def story(house: House) -> None:
        listing(house, tmp_path, BAD, 1)
        await house.start()
        view = await house.open()
        await house.lock(view.initiator.terms)
        view = await house.locked(view.id, Leg.PARTICIPANT)
        listing(house, tmp_path, "\n".join(house.initiator[chain].account for chain in (A, B)), 2)
        await house.clock.sleep(1)
        await house.claim(view)
        await house.phase(view.id, Phase.COMPLETED)
        assert (await house.gains())["relayer"] == (1_000, -2_000)

    told(story)
