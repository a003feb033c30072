"""Lock ids, slots and words of the contract's lanes, computed a second time with eth-abi and by hand."""

from dataclasses import replace

import pytest
from eth_abi.abi import encode
from hypothesis import example, given
from hypothesis import strategies as st

from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, ChainTime, Hashlock, LockId, LockTerms
from core.proofs import lanes
from core.proofs.errors import InvalidProofError
from core.proofs.keccak import keccak256
from core.proofs.lanes import Lane, LaneStatus

CHAIN = ChainId("eip155:1")
SENDER, RECEIVER, TOKEN = b"\x0a" * 20, b"\x0b" * 20, b"\x0c" * 20
LANE = Lane(SENDER, 3, 7)
TERMS = LockTerms(
    AssetId(f"{CHAIN}/slip44:60"), BaseUnits(5), AccountId(f"{CHAIN}:0x{SENDER.hex()}"),
    AccountId(f"{CHAIN}:0x{RECEIVER.hex()}"), Hashlock(b"\x11" * 32), ChainTime(CHAIN, 1_700_001_000),
)  # fmt: skip
ERC20 = replace(TERMS, asset=AssetId(f"{CHAIN}/erc20:0x{TOKEN.hex()}"))


@given(st.binary(min_size=20, max_size=20), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
@example(SENDER, 2**32 - 1, 2**16 - 1)
def test_lock_id_names_its_lane(sender: bytes, number: int, generation: int) -> None:
    lane = Lane(sender, number, generation)
    name = lanes.lane_lock_id(lane)
    assert name == f"0x{sender.hex()}/{number}/{generation}"
    assert lanes.parse_lane(name) == lane
    assert lanes.lane_slot(lane) == int(sender.hex() + f"{number:024x}", 16)


@pytest.mark.parametrize(
    "name",
    [
        "",
        f"0x{'0A' * 20}/3/7",
        f"0x{'0a' * 19}/3/7",
        f"0x{'0a' * 20}/03/7",
        f"0x{'0a' * 20}/3/07",
        f"0x{'0a' * 20}/3",
        f"0x{'0a' * 20}/{2**32}/7",
        f"0x{'0a' * 20}/3/{2**16}",
        f"0x{'0a' * 20}/3/7\n",
        f"0x{'0a' * 20}/-3/7",
        "x" * 500,
    ],
)
def test_other_names_are_rejected(name: str) -> None:
    with pytest.raises(RejectedError, match="not a lock id") as refused:
        lanes.parse_lane(LockId(name))
    assert len(refused.value.message) < 200


def test_account_is_read_in_lower_case_hex() -> None:
    assert lanes.evm_address(TERMS.sender) == SENDER
    for address in (f"0x{'0A' * 20}", "0a" * 20, f"0x{'0a' * 21}", f"0x{'0a' * 20}\n"):
        with pytest.raises(RejectedError, match="not an account"):
            lanes.evm_address(AccountId(f"{CHAIN}:{address}"))


def test_asset_word_is_nothing_for_ether_and_the_token_otherwise() -> None:
    assert lanes.asset_word(TERMS.asset) == 0
    assert lanes.asset_word(ERC20.asset) == (1 << 160) + int.from_bytes(TOKEN, "big")
    for other in (
        "slip44:61",
        "slip44:600",
        f"erc20:0x{'0C' * 20}",
        f"erc20:0x{'0c' * 19}",
        f"erc721:0x{'0c' * 20}",
        "",
    ):
        with pytest.raises(RejectedError, match="neither the native coin nor"):
            lanes.asset_word(AssetId(f"{CHAIN}/{other}"))


def test_terms_are_packed_as_the_contract_packs_them() -> None:
    word = lanes.packed_terms(TERMS, LANE)
    assert word.to_bytes(32, "big") == RECEIVER + (1_700_001_000).to_bytes(5, "big") + b"\0" + b"\0\7" + b"\0\0\0\3"


@pytest.mark.parametrize(("terms", "asset"), [(TERMS, 0), (ERC20, (1 << 160) + int.from_bytes(TOKEN, "big"))])
def test_word_commits_to_every_term(terms: LockTerms, asset: int) -> None:
    packed = RECEIVER + (1_700_001_000).to_bytes(5, "big") + b"\0" + b"\0\7" + b"\0\0\0\3"
    words = (terms.hashlock, packed, bytes(12) + SENDER, (5).to_bytes(32, "big"), asset.to_bytes(32, "big"))
    digest = keccak256(encode(["bytes32"] * 5, words))
    assert lanes.settled_word(terms, LANE).to_bytes(32, "big") == digest[:28] + b"\0\7" + b"\0\0"


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (LaneStatus.LOCKED, LockStatus.LOCKED),
        (LaneStatus.CLAIMED, LockStatus.CLAIMED),
        (LaneStatus.REFUNDED, LockStatus.REFUNDED),
    ],
)
def test_status_and_terms_are_read_from_the_word(status: LaneStatus, shown: LockStatus) -> None:
    word = lanes.settled_word(TERMS, LANE) | status
    assert lanes.read_lane(word, TERMS, LANE) == (shown, True)
    assert lanes.read_lane(word ^ 1 << 32, TERMS, LANE) == (shown, False)
    assert lanes.read_lane(word ^ 1 << 255, TERMS, LANE) == (shown, False)
    assert lanes.read_lane(word, ERC20, LANE) == (shown, False)


def test_word_of_nothing_is_no_lock() -> None:
    assert lanes.read_lane(0, TERMS, LANE) == (LockStatus.ABSENT, False)


@pytest.mark.parametrize("status", [0, 4, 0xFFFF])
def test_word_that_the_contract_never_writes_is_refused(status: int) -> None:
    with pytest.raises(InvalidProofError, match="not that of a lane"):
        lanes.read_lane(lanes.settled_word(TERMS, LANE) | status, TERMS, LANE)


@pytest.mark.parametrize(
    ("ahead", "shown"),
    [
        (1, LockStatus.SUPERSEDED),
        (32_767, LockStatus.SUPERSEDED),
        (32_768, LockStatus.ABSENT),
        (65_535, LockStatus.ABSENT),
    ],
)
@pytest.mark.parametrize("generation", [0, 7, 40_000, 65_535])
def test_generation_less_than_half_a_round_ahead_supersedes(generation: int, ahead: int, shown: LockStatus) -> None:
    there = replace(LANE, generation=(generation + ahead) % 65_536)
    word = lanes.settled_word(TERMS, there) | LaneStatus.CLAIMED
    assert lanes.read_lane(word, TERMS, replace(LANE, generation=generation)) == (shown, False)
