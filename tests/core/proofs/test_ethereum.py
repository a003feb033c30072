"""Ethereum proofs against independently built tries, the `rlp` package and a real anvil."""

from typing import Any

import aiohttp
import pytest
import rlp as oracle  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from core.proofs import ethereum, mpt, rlp
from core.proofs.errors import InvalidProofError, MalformedProofError, ProofError
from core.proofs.keccak import keccak256
from local_chains.evm.anvil import AnvilChain, AnvilError, AnvilSettings, find_anvil
from tests.core.proofs.tries import Trie
from tests.support import eventually

ITEMS = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=6), max_leaves=12)
STORAGE = st.dictionaries(st.integers(0, 2**256 - 1), st.integers(1, 2**256 - 1), min_size=1, max_size=60)


@given(ITEMS)
def test_rlp_agrees_with_the_reference_package(item: rlp.Rlp) -> None:
    encoded = rlp.encode(item)
    assert encoded == oracle.encode(item)
    if _depth(item) <= rlp.MAX_DEPTH:
        assert rlp.decode(encoded) == item
    else:
        with pytest.raises(MalformedProofError):
            rlp.decode(encoded)


def _depth(item: rlp.Rlp) -> int:
    return 1 + max(map(_depth, item), default=0) if isinstance(item, list) else 0


@given(st.binary(max_size=80))
def test_rlp_accepts_one_form_only(data: bytes) -> None:
    try:
        item = rlp.decode(data)
    except MalformedProofError:
        return
    assert rlp.encode(item) == data


@pytest.mark.parametrize("data", ["8100", "817f", "b800", "b90001aa", "f800", "c180ff", "83aabb", "c3", "", "bf"])
def test_rlp_refuses_other_forms(data: str) -> None:
    with pytest.raises(MalformedProofError):
        rlp.decode(bytes.fromhex(data))


def test_rlp_refuses_deep_nesting() -> None:
    nested: rlp.Rlp = b""
    for _ in range(200):
        nested = [nested]
    with pytest.raises(MalformedProofError):
        rlp.decode(rlp.encode(nested))


def _slot_key(slot: int) -> bytes:
    return keccak256(slot.to_bytes(32, "big"))


@given(STORAGE, st.integers(0, 2**256 - 1), st.data())
def test_storage_words_are_proven_present_or_zero(words: dict[int, int], absent: int, data: st.DataObject) -> None:
    trie = Trie({_slot_key(slot): rlp.encode(rlp.encode_integer(word)) for slot, word in words.items()})
    present = data.draw(st.sampled_from(sorted(words)))
    nodes = trie.prove(_slot_key(present))
    assert ethereum.verify_storage(trie.root, present, nodes) == words[present]
    assert ethereum.verify_storage(trie.root, absent, trie.prove(_slot_key(absent))) == words.get(absent, 0)
    with pytest.raises(ProofError):
        ethereum.verify_storage(trie.root, present, [*nodes, nodes[-1]])
    with pytest.raises(ProofError):
        ethereum.verify_storage(trie.root, present, nodes[:-1])
    place = data.draw(st.integers(0, len(nodes) - 1))
    bit = data.draw(st.integers(0, 8 * len(nodes[place]) - 1))
    flipped = bytearray(nodes[place])
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProofError):
        ethereum.verify_storage(trie.root, present, [*nodes[:place], bytes(flipped), *nodes[place + 1 :]])


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.binary(min_size=1, max_size=4), min_size=1, max_size=40))
def test_short_nodes_inside_their_parents_are_walked(entries: dict[bytes, bytes]) -> None:
    trie = Trie(entries)
    for key in [*entries, b"", b"\xff\xff\xff", b"\x00"]:
        assert mpt.verify(trie.root, key, trie.prove(key)) == entries.get(key)


def test_an_empty_trie_proves_absence_and_nothing_else() -> None:
    assert mpt.EMPTY_ROOT.hex() == "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
    assert mpt.verify(mpt.EMPTY_ROOT, b"key", []) is None
    assert mpt.verify(mpt.EMPTY_ROOT, b"key", [mpt.EMPTY_NODE]) is None
    with pytest.raises(InvalidProofError):
        mpt.verify(mpt.EMPTY_ROOT, b"key", [b"\xc0"])
    with pytest.raises(MalformedProofError):
        mpt.verify(bytes(32), b"key", [b"\x00" * 2000])


def _receipts() -> list[ethereum.Receipt]:
    def log(size: int) -> ethereum.Log:
        return ethereum.Log(b"\x11" * 20, (b"\x22" * 32,) * (size % 5), b"\x33" * size)

    return [
        ethereum.Receipt(i % 4, i % 2, 21_000 * (i + 1), bytes(256), tuple(log(n) for n in range(i % 7)))
        for i in range(140)
    ]


def test_receipts_of_every_type_are_proven_by_their_index() -> None:
    receipts = _receipts()
    trie = Trie({rlp.encode(rlp.encode_integer(i)): ethereum.encode_receipt(r) for i, r in enumerate(receipts)})
    for index, receipt in enumerate(receipts):
        nodes = trie.prove(rlp.encode(rlp.encode_integer(index)))
        assert ethereum.verify_receipt(trie.root, index, nodes) == receipt
    absent = trie.prove(rlp.encode(rlp.encode_integer(500)))
    assert ethereum.verify_receipt(trie.root, 500, absent) is None
    with pytest.raises(ProofError):
        ethereum.verify_receipt(trie.root, 3, trie.prove(rlp.encode(rlp.encode_integer(4))))


@pytest.mark.parametrize("optional", [0, 1, 2, 5, 6])
def test_headers_of_every_fork_survive_encoding(optional: int) -> None:
    hashes = [bytes([n]) * 32 for n in range(12)]
    tail: list[Any] = [7, hashes[6], 8, 0, hashes[7], hashes[8]][:optional]
    header = ethereum.EthereumHeader(
        hashes[0], hashes[1], b"\x01" * 20, hashes[2], hashes[3], hashes[4], bytes(256), 0, 5, 30_000_000, 21_000,
        1_700_000_000, b"extra", hashes[5], bytes(8), *tail,
    )  # fmt: skip
    assert ethereum.decode_header(ethereum.encode_header(header)) == header
    assert ethereum.header_hash(header) == keccak256(ethereum.encode_header(header))


def test_headers_of_no_fork_are_refused() -> None:
    header = ethereum.EthereumHeader(
        bytes(32), bytes(32), bytes(20), bytes(32), bytes(32), bytes(32), bytes(256), 0, 1, 1, 1, 1, b"", bytes(32),
        bytes(8), None, bytes(32),
    )  # fmt: skip
    with pytest.raises(MalformedProofError):
        ethereum.encode_header(header)


def test_mainnet_header_has_its_known_hash() -> None:
    """Ethereum's genesis block, whose hash everybody knows."""
    header = ethereum.EthereumHeader(
        parent_hash=bytes(32),
        ommers_hash=bytes.fromhex("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"),
        beneficiary=bytes(20),
        state_root=bytes.fromhex("d7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544"),
        transactions_root=mpt.EMPTY_ROOT,
        receipts_root=mpt.EMPTY_ROOT,
        logs_bloom=bytes(256),
        difficulty=17_179_869_184,
        number=0,
        gas_limit=5_000,
        gas_used=0,
        timestamp=0,
        extra_data=bytes.fromhex("11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa"),
        mix_hash=bytes(32),
        nonce=bytes.fromhex("0000000000000042"),
    )
    expected = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
    assert ethereum.header_hash(header).hex() == expected


async def _call(session: aiohttp.ClientSession, url: str, method: str, *params: Any) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    async with session.post(url, json=body) as response:
        answer = await response.json()
    assert "error" not in answer, answer
    return answer["result"]


async def test_real_nodes_headers_accounts_storage_receipts_are_proven() -> None:
    try:
        find_anvil()
    except AnvilError as error:
        pytest.skip(str(error))
    # Stores the number of the slot in slots 0 to 7 on deployment, then answers nothing.
    code = "".join(f"60{value:02x}60{slot:02x}55" for slot, value in enumerate(range(65, 73))) + "00"
    async with AnvilChain(AnvilSettings(block_time_s=None)) as chain, aiohttp.ClientSession() as session:
        sender = (await _call(session, chain.rpc_url, "eth_accounts"))[0]
        request = {"from": sender, "data": "0x" + code, "gas": "0x100000"}
        tx = await _call(session, chain.rpc_url, "eth_sendTransaction", request)
        receipt: Any = await eventually(lambda: _call(session, chain.rpc_url, "eth_getTransactionReceipt", tx))
        contract, number = receipt["contractAddress"], receipt["blockNumber"]
        block = await _call(session, chain.rpc_url, "eth_getBlockByNumber", number, False)
        slots = [f"0x{slot:064x}" for slot in range(10)]
        proof = await _call(session, chain.rpc_url, "eth_getProof", contract, slots, number)

    header = ethereum.header_from_rpc(block)
    assert ethereum.header_hash(header).hex() == block["hash"][2:]
    assert ethereum.decode_header(ethereum.encode_header(header)) == header
    nodes = [bytes.fromhex(node[2:]) for node in proof["accountProof"]]
    account = ethereum.verify_account(header.state_root, bytes.fromhex(contract[2:]), nodes)
    assert account is not None
    assert account.code_hash == ethereum.EMPTY_CODE_HASH
    for slot, entry in enumerate(proof["storageProof"]):
        words = [bytes.fromhex(node[2:]) for node in entry["proof"]]
        assert ethereum.verify_storage(account.storage_root, slot, words) == (65 + slot if slot < 8 else 0)
    with pytest.raises(ProofError):
        ethereum.verify_account(header.receipts_root, bytes.fromhex(contract[2:]), nodes)

    logs = tuple(
        ethereum.Log(
            bytes.fromhex(log["address"][2:]),
            tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
            bytes.fromhex(log["data"][2:]),
        )
        for log in receipt["logs"]
    )
    leaf = ethereum.Receipt(
        int(receipt["type"], 16),
        int(receipt["status"], 16),
        int(receipt["cumulativeGasUsed"], 16),
        bytes.fromhex(receipt["logsBloom"][2:]),
        logs,
    )
    trie = Trie({rlp.encode(b""): ethereum.encode_receipt(leaf)})
    assert trie.root == header.receipts_root
    assert ethereum.verify_receipt(header.receipts_root, 0, trie.prove(rlp.encode(b""))) == leaf
