"""Headers, accounts, words and receipts of Ethereum in each malformed form, and at their limits."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from core.proofs import ethereum, mpt, rlp
from core.proofs.errors import MalformedProofError
from core.proofs.ethereum import Account, EthereumHeader, Log, Receipt
from core.proofs.keccak import keccak256
from tests.core.proofs.tries import Trie

ADDRESS = b"\x22" * 20
HEADER = EthereumHeader(
    b"\x01" * 32, b"\x02" * 32, ADDRESS, b"\x03" * 32, b"\x04" * 32, b"\x05" * 32, bytes(256), 9, 5, 30_000_000,
    21_000, 1_700_000_000, b"extra", b"\x06" * 32, bytes(8), 7, b"\x07" * 32, 8, 0, b"\x08" * 32, b"\x09" * 32,
)  # fmt: skip
ACCOUNT: list[rlp.Rlp] = [b"\x01", b"\x02", b"\x03" * 32, b"\x04" * 32]
LOG: list[rlp.Rlp] = [ADDRESS, [b"\x05" * 32], b"data"]
RECEIPT: list[rlp.Rlp] = [b"\x01", b"\x64", bytes(256), [LOG]]


def _changed(items: list[rlp.Rlp], place: int, value: rlp.Rlp) -> list[rlp.Rlp]:
    return [*items[:place], value, *items[place + 1 :]]


def _items(header: EthereumHeader = HEADER) -> list[rlp.Rlp]:
    return rlp.decode_list(ethereum.encode_header(header))


# --- headers ----------------------------------------------------------------------------------------------------------


def test_fields_stand_in_the_order_of_the_yellow_paper() -> None:
    assert _items() == [
        rlp.encode_integer(value) if isinstance(value, int) else value for value in asdict(HEADER).values()
    ]


@pytest.mark.parametrize("count", [14, 18, 19, 22])
def test_header_with_the_fields_of_no_fork_is_refused(count: int) -> None:
    items = [*_items(), b"\x01"][:count]
    with pytest.raises(MalformedProofError, match="no known fork"):
        ethereum.decode_header(rlp.encode(items))


@pytest.mark.parametrize("count", [15, 16, 17, 20, 21])
def test_header_of_each_fork_leaves_later_fields_none(count: int) -> None:
    header = ethereum.decode_header(rlp.encode(_items()[:count]))
    values = list(asdict(HEADER).values())
    assert list(asdict(header).values()) == [*values[:count], *[None] * (21 - count)]


@pytest.mark.parametrize("missing", ["base_fee_per_gas", "withdrawals_root", "excess_blob_gas", "blob_gas_used"])
def test_header_with_a_gap_between_forks_is_not_encoded(missing: str) -> None:
    fields = {**asdict(HEADER), missing: None}
    with pytest.raises(MalformedProofError, match="no known fork"):
        ethereum.encode_header(EthereumHeader(**fields))


def test_header_between_two_forks_is_not_encoded() -> None:
    later = {"excess_blob_gas": None, "parent_beacon_block_root": None, "requests_hash": None}
    with pytest.raises(MalformedProofError, match="no known fork"):
        ethereum.encode_header(EthereumHeader(**{**asdict(HEADER), **later}))


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 5, 6, 13, 14, 16, 19, 20])
def test_header_field_of_another_size_is_refused(place: int) -> None:
    field = rlp.as_bytes(_items()[place])
    wrongs: list[rlp.Rlp] = [field[:-1], field + b"\x00", [field]]
    for wrong in wrongs:
        with pytest.raises(MalformedProofError, match="not a string of the expected size"):
            ethereum.decode_header(rlp.encode(_changed(_items(), place, wrong)))


@pytest.mark.parametrize("place", [8, 9, 10, 11])
def test_header_numbers_have_64_bits(place: int) -> None:
    ethereum.decode_header(rlp.encode(_changed(_items(), place, b"\xff" * 8)))
    for wrong in (b"\xff" * 9, b"\x00", b"\x00\x01"):
        with pytest.raises(MalformedProofError, match="not minimal or too large"):
            ethereum.decode_header(rlp.encode(_changed(_items(), place, wrong)))


def test_extra_data_and_header_end_at_their_limits() -> None:
    full = replace(HEADER, extra_data=bytes(ethereum.MAX_EXTRA_DATA))
    assert ethereum.decode_header(ethereum.encode_header(full)) == full
    with pytest.raises(MalformedProofError, match="too much extra data"):
        ethereum.decode_header(ethereum.encode_header(replace(HEADER, extra_data=bytes(33))))
    padded = ethereum.encode_header(HEADER)
    with pytest.raises(MalformedProofError, match="too large"):
        ethereum.decode_header(padded + bytes(ethereum.MAX_HEADER_BYTES + 1 - len(padded)))
    with pytest.raises(MalformedProofError, match="bytes behind"):
        ethereum.decode_header(padded + bytes(ethereum.MAX_HEADER_BYTES - len(padded)))


# --- headers from a node ----------------------------------------------------------------------------------------------

RPC_NAMES = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce", "baseFeePerGas", "withdrawalsRoot",
    "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
)  # fmt: skip


def _answer(header: EthereumHeader = HEADER) -> dict[str, Any]:
    values = asdict(header).values()
    return {
        name: hex(value) if isinstance(value, int) else f"0x{value.hex()}"
        for name, value in zip(RPC_NAMES, values, strict=True)
        if value is not None
    }


def test_answer_of_a_node_is_read_field_by_field() -> None:
    assert ethereum.header_from_rpc({**_answer(), "hash": "0xff", "size": 5}) == HEADER
    old = ethereum.decode_header(rlp.encode(_items()[:15]))
    assert ethereum.header_from_rpc(_answer(old)) == old
    assert ethereum.header_from_rpc({**_answer(old), "requestsHash": None, "baseFeePerGas": None}) == old


@pytest.mark.parametrize("name", RPC_NAMES)
def test_member_of_a_nodes_answer_is_hex_or_refused(name: str) -> None:
    number = isinstance(list(asdict(HEADER).values())[RPC_NAMES.index(name)], int)
    wrongs: list[Any] = (
        [5, "12", "1234", "0x", "0xzz", "0x" + "1" * 67] if number else [5, "1234", "0xz", "0x123", "0x" + "11" * 1100]
    )
    for wrong in wrongs:
        with pytest.raises(MalformedProofError, match="block member"):
            ethereum.header_from_rpc({**_answer(), name: wrong})
    if RPC_NAMES.index(name) < 15:
        with pytest.raises(MalformedProofError, match="missing"):
            ethereum.header_from_rpc({key: value for key, value in _answer().items() if key != name})


@pytest.mark.parametrize("name", [name for name in RPC_NAMES if len(_answer()[name]) > 17])
def test_bytes_of_a_nodes_answer_have_their_size(name: str) -> None:
    right = _answer()[name]
    for wrong in (right[:-2], right + "00"):
        with pytest.raises(MalformedProofError, match="wrong size"):
            ethereum.header_from_rpc({**_answer(), name: wrong})


def test_member_of_a_nodes_answer_has_its_size() -> None:
    longest = "0x" + "11" * (ethereum.MAX_HEADER_BYTES - 1)
    assert ethereum.header_from_rpc({**_answer(), "extraData": longest}).extra_data == b"\x11" * 1023
    with pytest.raises(MalformedProofError, match="block member"):
        ethereum.header_from_rpc({**_answer(), "extraData": longest + "11"})


def test_quantity_of_a_node_has_at_most_256_bits() -> None:
    assert ethereum.header_from_rpc({**_answer(), "difficulty": "0x" + "f" * 64}).difficulty == 2**256 - 1
    with pytest.raises(MalformedProofError, match="quantity"):
        ethereum.header_from_rpc({**_answer(), "difficulty": "0x1" + "0" * 64})


# --- accounts and words -----------------------------------------------------------------------------------------------


def _under(trie_key: bytes, leaf: bytes) -> tuple[bytes, list[bytes]]:
    trie = Trie({keccak256(trie_key): leaf, keccak256(b"other"): b"x" * 40})
    return trie.root, trie.prove(keccak256(trie_key))


def test_account_is_read_from_its_leaf() -> None:
    root, nodes = _under(ADDRESS, rlp.encode(ACCOUNT))
    assert ethereum.verify_account(root, ADDRESS, nodes) == Account(1, 2, b"\x03" * 32, b"\x04" * 32)
    assert ethereum.verify_account(mpt.EMPTY_ROOT, ADDRESS, []) is None


@pytest.mark.parametrize(
    "items",
    [
        ACCOUNT[:3],
        [*ACCOUNT, b""],
        _changed(ACCOUNT, 0, b"\x01" * 9),
        _changed(ACCOUNT, 1, b"\x01" * 33),
        _changed(ACCOUNT, 2, bytes(31)),
        _changed(ACCOUNT, 3, bytes(33)),
    ],
)
def test_account_of_another_form_is_refused(items: list[rlp.Rlp]) -> None:
    root, nodes = _under(ADDRESS, rlp.encode(items))
    with pytest.raises(MalformedProofError):
        ethereum.verify_account(root, ADDRESS, nodes)


def test_account_numbers_reach_their_limits() -> None:
    root, nodes = _under(ADDRESS, rlp.encode(_changed(_changed(ACCOUNT, 0, b"\xff" * 8), 1, b"\xff" * 32)))
    account = ethereum.verify_account(root, ADDRESS, nodes)
    assert account is not None
    assert (account.nonce, account.balance) == (2**64 - 1, 2**256 - 1)


@pytest.mark.parametrize(
    ("word", "why"), [(b"", "never zero"), (b"\x00\x01", "not minimal"), (b"\x01" * 33, "too large")]
)
def test_word_that_no_contract_stores_is_refused(word: bytes, why: str) -> None:
    root, nodes = _under((5).to_bytes(32, "big"), rlp.encode(word))
    with pytest.raises(MalformedProofError, match=why):
        ethereum.verify_storage(root, 5, nodes)


# --- receipts ---------------------------------------------------------------------------------------------------------


def test_receipt_is_read_field_by_field() -> None:
    log = Log(ADDRESS, (b"\x05" * 32,), b"data")
    assert ethereum.decode_receipt(rlp.encode(RECEIPT)) == Receipt(0, 1, 100, bytes(256), (log,))
    for kind in (1, 2, 0x7F):
        raw = bytes([kind]) + rlp.encode(RECEIPT)
        assert ethereum.decode_receipt(raw) == Receipt(kind, 1, 100, bytes(256), (log,))
        assert ethereum.encode_receipt(ethereum.decode_receipt(raw)) == raw


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "cut short"),
        (b"\x00" + rlp.encode(RECEIPT), "carries no type"),
        (b"\x80" + rlp.encode(RECEIPT), "bytes behind"),
        (b"\x01", "cut short"),
        (b"\x01\x02" + rlp.encode(RECEIPT), "bytes behind"),
        (rlp.encode(RECEIPT[:3]), "four fields"),
        (rlp.encode([*RECEIPT, b""]), "four fields"),
        (rlp.encode(_changed(RECEIPT, 0, b"\x02")), "neither success nor failure"),
        (rlp.encode(_changed(RECEIPT, 0, bytes(32))), "not minimal or too large"),  # a state root: before Byzantium
        (rlp.encode(_changed(RECEIPT, 0, b"\x01\x00")), "not minimal or too large"),
        (rlp.encode(_changed(RECEIPT, 1, b"\x01" * 9)), "not minimal or too large"),
        (rlp.encode(_changed(RECEIPT, 2, bytes(255))), "expected size"),
        (rlp.encode(_changed(RECEIPT, 3, b"")), "not a list"),
        (rlp.encode(_changed(RECEIPT, 3, [b""])), "not a list"),
        (rlp.encode(_changed(RECEIPT, 3, [LOG[:2]])), "three fields"),
        (rlp.encode(_changed(RECEIPT, 3, [[*LOG, b""]])), "three fields"),
        (rlp.encode(_changed(RECEIPT, 3, [_changed(LOG, 0, bytes(19))])), "expected size"),
        (rlp.encode(_changed(RECEIPT, 3, [_changed(LOG, 1, [bytes(31)])])), "expected size"),
        (rlp.encode(_changed(RECEIPT, 3, [_changed(LOG, 1, [bytes(32)] * 5)])), "too many topics"),
        (rlp.encode(_changed(RECEIPT, 3, [_changed(LOG, 2, [])])), "not a string"),
        (rlp.encode(_changed(RECEIPT, 3, [b""] * (ethereum.MAX_LOGS + 1))), "too many logs"),
        (rlp.encode(_changed(RECEIPT, 3, [b""] * ethereum.MAX_LOGS)), "not a list"),
    ],
)
def test_receipt_of_another_form_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(MalformedProofError, match=why):
        ethereum.decode_receipt(raw)


def test_receipt_reaches_its_limits() -> None:
    most = _changed(LOG, 1, [b"\x05" * 32] * ethereum.MAX_TOPICS)
    receipt = ethereum.decode_receipt(rlp.encode([b"", b"\xff" * 8, bytes(256), [most]]))
    assert (receipt.status, receipt.cumulative_gas_used, len(receipt.logs[0].topics)) == (0, 2**64 - 1, 4)


def test_long_receipts_have_nodes_of_their_own_limit() -> None:
    """A node of a receipts trie may hold what a state's may not."""
    long = Receipt(2, 1, 5, bytes(256), (Log(ADDRESS, (), bytes(2000)),))
    key = rlp.encode(rlp.encode_integer(0))
    trie = Trie({key: ethereum.encode_receipt(long), b"\x01": b"x" * 40})
    assert ethereum.verify_receipt(trie.root, 0, trie.prove(key)) == long
    with pytest.raises(MalformedProofError, match="exceeds its limits"):
        mpt.verify(trie.root, key, trie.prove(key))


def test_decoders_end_what_they_refuse() -> None:
    """Whatever the bytes, a decoder returns or raises its own error."""
    decoders: list[Callable[[bytes], object]] = [ethereum.decode_header, ethereum.decode_receipt]
    for decode in decoders:
        for data in (bytes(5), b"\xff" * 40, rlp.encode([b"x"] * 21), rlp.encode([[]] * 4), b"\xf8\xff" + bytes(9)):
            with pytest.raises(MalformedProofError):
                decode(data)
