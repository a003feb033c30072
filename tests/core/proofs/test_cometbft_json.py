"""CometBFT's JSON, value by value: what its RPC prints is read, anything else is refused."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.proofs.cometbft import json as rpc_json
from core.proofs.cometbft.types import (
    EMPTY_COMMIT,
    GO_ZERO_SECONDS,
    MAX_SECONDS,
    MAX_TOTAL_POWER,
    NIL_BLOCK_ID,
    Block,
    BlockId,
    DuplicateVoteEvidence,
    KeyKind,
    LightClientAttackEvidence,
    PartSetHeader,
    PublicKey,
    Timestamp,
    Validator,
    ValidatorSet,
    Vote,
    VoteKind,
)
from core.proofs.errors import MalformedProofError
from tests.core.proofs.chains import ToyChain, validator_keys

CHAIN = ToyChain(validator_keys(2, KeyKind.ED25519) + validator_keys(1))
FIRST, SECOND = CHAIN.produce(), CHAIN.produce(signers=2)


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (Timestamp(0), "1970-01-01T00:00:00Z"),
        (Timestamp(1_700_000_000, 5), "2023-11-14T22:13:20.000000005Z"),
        (Timestamp(1_700_000_000, 120_000_000), "2023-11-14T22:13:20.12Z"),
        (Timestamp(GO_ZERO_SECONDS), "0001-01-01T00:00:00Z"),
        (Timestamp(MAX_SECONDS, 999_999_999), "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_time_is_written_as_go_writes_it(moment: Timestamp, text: str) -> None:
    assert rpc_json.timestamp_to_json(moment) == text
    assert rpc_json.timestamp_from_json(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2023-11-14T22:13:20",
        "2023-11-14 22:13:20Z",
        "2023-11-14T22:13:20.Z",
        "2023-11-14T22:13:20.0000000000Z",
        "2023-13-14T22:13:20Z",
        "0000-01-01T00:00:00Z",
        "2023-11-14T22:13:20Z\n",
        "٢023-11-14T22:13:20Z",
        None,
        5,
    ],
)
def test_time_in_another_form_is_refused(text: Any) -> None:
    with pytest.raises(MalformedProofError):
        rpc_json.timestamp_from_json(text)


READERS: list[tuple[Callable[[Any], Any], list[tuple[Any, Any]], list[Any]]] = [
    (
        lambda value: rpc_json.bytes_from_hex(value, 2),
        [("", b""), ("0AfF", b"\n\xff"), ("ab", b"\xab")],
        ["0AFF00", "0", "0x", "zz", "0 a", "0a ", " 0a", "٣٣", 5, None, b"0a"],
    ),
    (rpc_json.bytes_from_hex, [("11" * 64, b"\x11" * 64)], ["11" * 65]),
    (
        lambda value: rpc_json.bytes_from_base64(value, 3),
        [(None, b""), ("", b""), ("AQID", b"\x01\x02\x03"), ("AQ==", b"\x01")],
        ["AQIDBA==", "AQIDBAUG", "AQ=", "AQ", "AR==", "A-ID", "AQ==\n", 5, b"AQ==", ["AQ=="]],
    ),
    (
        lambda value: rpc_json.integer_from_json(value, -2, 5),
        [(5, 5), ("5", 5), ("-2", -2), (0, 0), ("0", 0)],
        [6, "6", -3, "-3", True, "05", "+5", "", "5.0", 5.0, None, "1" * 21, "٣"],
    ),
    (rpc_json.integer_from_json, [(2**63 - 1, 2**63 - 1), ("9223372036854775807", 2**63 - 1)], [-1, 2**63, "-0" * 9]),
    (rpc_json.object_from_json, [({}, {}), ({"a": 1}, {"a": 1})], [None, [], "a"]),
    (lambda value: rpc_json.list_from_json(value, 2), [(None, []), ([1, 2], [1, 2])], [[1, 2, 3], {}, "ab"]),
    (
        rpc_json.block_id_from_json,
        [
            (None, NIL_BLOCK_ID),
            ({}, NIL_BLOCK_ID),
            ({"hash": "AA", "parts": {"total": 2, "hash": "BB"}}, BlockId(b"\xaa", PartSetHeader(2, b"\xbb"))),
            ({"hash": "AA", "part_set_header": {"total": 1}}, BlockId(b"\xaa", PartSetHeader(1, b""))),
            ({"parts": {"total": 2**32 - 1}}, BlockId(b"", PartSetHeader(2**32 - 1, b""))),
        ],
        [[], "AA", {"hash": 5}, {"parts": [1]}, {"parts": {"total": 2**32}}, {"parts": {"total": -1}}],
    ),
    (rpc_json.commit_from_json, [(None, EMPTY_COMMIT)], [[], {}, "x"]),
]


@pytest.mark.parametrize(("read", "good", "bad"), READERS)
def test_reader_takes_its_kind_only(read: Callable[[Any], Any], good: list[tuple[Any, Any]], bad: list[Any]) -> None:
    for value, expected in good:
        assert read(value) == expected
    for value in bad:
        with pytest.raises(MalformedProofError):
            read(value)


def test_base64_is_read_no_further_than_its_limit_is_long() -> None:
    """20 bytes are 28 characters: what is longer is refused before anything is decoded."""
    with pytest.raises(MalformedProofError, match="is not base64"):
        rpc_json.bytes_from_base64("?" * 28, 20)
    with pytest.raises(MalformedProofError, match="within its limit"):
        rpc_json.bytes_from_base64("?" * 29, 20)


# --- headers and commits ---------------------------------------------------------------------------------------------


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    made = deepcopy(value)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return made


def test_header_is_read_member_by_member() -> None:
    written = rpc_json.header_to_json(SECOND.header)
    assert rpc_json.header_from_json(written) == SECOND.header
    assert written["version"] == {"block": "11"}
    other = rpc_json.header_from_json(_changed(written, ("version",), {"block": "12", "app": "3"}))
    assert (other.block_version, other.app_version) == (12, 3)
    assert rpc_json.header_to_json(other)["version"] == {"block": "12", "app": "3"}
    none = rpc_json.header_from_json(_changed(written, ("version",), {}))
    assert (none.block_version, none.app_version) == (0, 0)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("version", None),
        ("version", {"block": "-1"}),
        ("version", {"app": "x"}),
        ("chain_id", None),
        ("chain_id", "x" * 51),
        ("chain_id", "\ud800"),
        ("chain_id", "last\udfff"),
        ("chain_id", "ü" * 26),
        ("height", None),
        ("height", "-1"),
        ("time", None),
        ("last_block_id", "x"),
        *((name, None) for name in rpc_json.header_to_json(FIRST.header) if name.endswith("_hash")),
        ("proposer_address", "zz"),
    ],
)
def test_header_of_another_form_is_refused(member: str, value: Any) -> None:
    with pytest.raises(MalformedProofError):
        rpc_json.header_from_json({**rpc_json.header_to_json(FIRST.header), member: value})


def test_chain_id_has_so_many_bytes() -> None:
    written = rpc_json.header_to_json(FIRST.header)
    assert rpc_json.header_from_json({**written, "chain_id": "ü" * 25}).chain_id == "ü" * 25


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("height",), "-1"),
        (("round",), -1),
        (("round",), 2**31),
        (("block_id",), []),
        (("signatures",), {}),
        (("signatures", 0, "block_id_flag"), 0),
        (("signatures", 0, "block_id_flag"), 4),
        (("signatures", 0, "block_id_flag"), None),
        (("signatures", 0, "validator_address"), None),
        (("signatures", 0, "timestamp"), None),
        (("signatures", 0, "signature"), "A" * 176),
        (("signatures", 0), None),
    ],
)
def test_commit_of_another_form_is_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(MalformedProofError):
        rpc_json.commit_from_json(_changed(rpc_json.commit_to_json(FIRST.commit), path, value))


def test_commit_is_read_as_it_was_written() -> None:
    for block in (FIRST, SECOND):
        assert rpc_json.commit_from_json(rpc_json.commit_to_json(block.commit)) == block.commit
        signed = rpc_json.signed_header_to_json(block.signed_header)
        assert rpc_json.signed_header_from_json(signed) == block.signed_header
    assert rpc_json.commit_to_json(SECOND.commit)["signatures"][-1]["signature"] is None
    high = _changed(rpc_json.commit_to_json(FIRST.commit), ("round",), 2**31 - 1)
    assert rpc_json.commit_from_json(high).round == 2**31 - 1


# --- validators ------------------------------------------------------------------------------------------------------


VALIDATOR = Validator(FIRST.validators.validators[0].public_key, 7, -3)


def test_validator_is_read_from_the_rpc_and_from_a_genesis_file() -> None:
    written = rpc_json.validator_to_json(VALIDATOR)
    assert rpc_json.validator_from_json(written) == VALIDATOR
    genesis = {"address": written["address"], "pub_key": written["pub_key"], "power": "7"}
    assert rpc_json.validator_from_json(genesis) == Validator(VALIDATOR.public_key, 7)
    for priority in (-(2**63), 2**63 - 1):
        assert rpc_json.validator_from_json({**written, "proposer_priority": priority}).proposer_priority == priority


@pytest.mark.parametrize(
    "changes",
    [
        {"address": "11" * 20},
        {"address": None},
        {"voting_power": None},
        {"voting_power": "-1"},
        {"proposer_priority": str(2**63)},
        {"proposer_priority": str(-(2**63) - 1)},
        {"pub_key": None},
        {"pub_key": {"type": "tendermint/PubKeyBls12_381", "value": "AQ=="}},
        {"pub_key": {"type": None, "value": "AQ=="}},
        {"pub_key": {"type": "tendermint/PubKeyEd25519", "value": "AQ=="}},
        {"pub_key": {"type": "tendermint/PubKeyEd25519", "value": None}},
    ],
)
def test_validator_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedProofError):
        rpc_json.validator_from_json({**rpc_json.validator_to_json(VALIDATOR), **changes})


def test_validator_sets_are_read_in_any_order_and_wrapping() -> None:
    written = rpc_json.validator_set_to_json(FIRST.validators)
    for form in (written, written[::-1], {"validators": written}):
        assert rpc_json.validator_set_from_json(form) == FIRST.validators
    for wrong in (None, [], {}, {"validators": None}, [written[0], written[0]], "x"):
        with pytest.raises(MalformedProofError):
            rpc_json.validator_set_from_json(wrong)


def test_light_block_is_read_with_and_without_its_next_set() -> None:
    for block in (FIRST, type(FIRST)(FIRST.signed_header, FIRST.validators, None)):
        assert rpc_json.light_block_from_json(rpc_json.light_block_to_json(block)) == block


# --- sets, keys and times themselves ---------------------------------------------------------------------------------


def test_times_end_where_go_ends_them() -> None:
    for seconds, nanos in ((GO_ZERO_SECONDS - 1, 0), (MAX_SECONDS + 1, 0), (0, -1), (0, 10**9)):
        with pytest.raises(MalformedProofError, match="out of range"):
            Timestamp(seconds, nanos)
    assert Timestamp.from_nanos(-1) == Timestamp(-1, 999_999_999)
    assert Timestamp(-1, 999_999_999).to_nanos() == -1


def test_validator_set_ends_at_its_limits() -> None:
    key = VALIDATOR.public_key
    assert ValidatorSet.of([Validator(key, MAX_TOTAL_POWER)]).total_power == MAX_TOTAL_POWER
    for powers, why in (((), "size"), ((0,), "positive"), ((-1,), "positive"), ((MAX_TOTAL_POWER + 1,), "too large")):
        with pytest.raises(MalformedProofError, match=why):
            ValidatorSet(tuple(Validator(key, power) for power in powers))
    assert FIRST.validators.index_of(VALIDATOR.address) == 0
    assert FIRST.validators.index_of(bytes(20)) is None
    assert FIRST.validators.by_address(bytes(20)) is None


def test_validator_set_has_ten_thousand_members_at_most() -> None:
    keys = [PublicKey(KeyKind.ED25519, number.to_bytes(32, "big")) for number in range(10_001)]
    assert len(ValidatorSet.of([Validator(key, 1) for key in keys[:-1]])) == 10_000
    with pytest.raises(MalformedProofError, match="size"):
        ValidatorSet.of([Validator(key, 1) for key in keys])


def test_key_that_is_no_point_has_no_address() -> None:
    for size in (32, 34):
        with pytest.raises(MalformedProofError, match="wrong length"):
            PublicKey(KeyKind.SECP256K1_ETH, bytes(size))
    with pytest.raises(MalformedProofError, match="not a point"):
        _ = PublicKey(KeyKind.SECP256K1_ETH, b"\x05" + bytes(32)).address


def test_nil_block_id_is_empty_altogether() -> None:
    assert NIL_BLOCK_ID.is_nil
    for one in (BlockId(b"\x01"), BlockId(b"", PartSetHeader(1)), BlockId(b"", PartSetHeader(0, b"\x01"))):
        assert not one.is_nil


# --- blocks and their evidence ---------------------------------------------------------------------------------------


def _vote(kind: VoteKind = VoteKind.PRECOMMIT, extension: bytes = b"") -> Vote:
    return Vote(
        kind, 5, 1, BlockId(b"\x01" * 32, PartSetHeader(1, b"\x02" * 32)), Timestamp(7, 8), VALIDATOR.address, 2,
        b"\x03" * 64, extension, extension,
    )  # fmt: skip


DUPLICATE = DuplicateVoteEvidence(_vote(), _vote(VoteKind.PREVOTE, b"\x04"), 30, 10, Timestamp(9))
ATTACK = LightClientAttackEvidence(
    type(FIRST)(FIRST.signed_header, FIRST.validators, None), VALIDATOR, 3, (VALIDATOR,), 30, Timestamp(9)
)
BLOCK = Block(FIRST.header, (b"tx one", b""), (DUPLICATE, ATTACK), FIRST.commit)
GO_NAMES = {
    "TotalVotingPower": "total_voting_power",
    "ValidatorPower": "validator_power",
    "Timestamp": "timestamp",
    "ConflictingBlock": "conflicting_block",
    "CommonHeight": "common_height",
    "ByzantineValidators": "byzantine_validators",
}


def test_block_is_read_as_it_was_written() -> None:
    written = rpc_json.block_to_json(BLOCK)
    assert rpc_json.block_from_json(written) == BLOCK
    for one in written["evidence"]["evidence"]:
        one["value"] = {GO_NAMES.get(name, name): value for name, value in one["value"].items()}
    assert rpc_json.block_from_json(written) == BLOCK
    bare = {"header": written["header"], "data": {"txs": None}, "evidence": None, "last_commit": None}
    assert rpc_json.block_from_json(bare) == Block(FIRST.header, (), (), EMPTY_COMMIT)
    nobody = _changed(written, ("evidence", "evidence", 1, "value", "byzantine_validators"), None)
    nobody["evidence"]["evidence"][1]["value"]["conflicting_block"]["validator_set"]["proposer"] = None
    read = rpc_json.block_from_json(nobody).evidence[1]
    assert isinstance(read, LightClientAttackEvidence)
    assert (read.proposer, read.byzantine_validators) == (None, ())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("data",), None),
        (("data", "txs"), {}),
        (("data", "txs", 0), "?"),
        (("evidence",), "x"),
        (("evidence", "evidence"), {}),
        (("evidence", "evidence", 0), None),
        (("evidence", "evidence", 0, "type"), "tendermint/Other"),
        (("evidence", "evidence", 0, "value"), None),
        (("evidence", "evidence", 0, "value", "vote_a"), None),
        (("evidence", "evidence", 0, "value", "vote_a", "type"), 0),
        (("evidence", "evidence", 0, "value", "vote_a", "type"), 3),
        (("evidence", "evidence", 0, "value", "vote_a", "height"), "-1"),
        (("evidence", "evidence", 0, "value", "vote_a", "round"), 2**31),
        (("evidence", "evidence", 0, "value", "vote_a", "validator_index"), -1),
        (("evidence", "evidence", 0, "value", "vote_a", "signature"), "A" * 176),
        (("evidence", "evidence", 0, "value", "TotalVotingPower"), None),
        (("evidence", "evidence", 0, "value", "ValidatorPower"), "x"),
        (("evidence", "evidence", 0, "value", "Timestamp"), None),
        (("evidence", "evidence", 1, "value", "ConflictingBlock"), None),
        (("evidence", "evidence", 1, "value", "ConflictingBlock", "validator_set"), None),
        (("evidence", "evidence", 1, "value", "CommonHeight"), None),
        (("evidence", "evidence", 1, "value", "ByzantineValidators"), {"a": 1}),
        (("evidence", "evidence", 1, "value", "ByzantineValidators"), {}),
        (("evidence", "evidence", 1, "value", "ByzantineValidators"), ""),
        (("evidence", "evidence", 1, "value", "ByzantineValidators"), 0),
        (("evidence", "evidence", 1, "value", "Timestamp"), 5),
        (("header",), None),
        (("last_commit",), []),
    ],
)
def test_block_of_another_form_is_refused(path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(MalformedProofError):
        rpc_json.block_from_json(_changed(rpc_json.block_to_json(BLOCK), path, value))


@given(st.binary(max_size=70))
def test_bytes_survive_hex_and_base64(value: bytes) -> None:
    assert rpc_json.bytes_from_base64(rpc_json.bytes_to_base64(value)) == value
    if len(value) <= rpc_json.MAX_HASH_BYTES:
        assert rpc_json.bytes_from_hex(rpc_json.bytes_to_hex(value)) == value
