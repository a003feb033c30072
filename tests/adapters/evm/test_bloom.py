"""Bloom filters of headers, against those that a node writes and a filter of known content."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evm.bloom import BLOOM_BYTES, LogFilter, bloom_bits

addresses = st.binary(min_size=20, max_size=20)
topics = st.binary(min_size=32, max_size=32)


def test_the_bits_of_a_known_value() -> None:
    """A worked example: this address sets bits 1323, 431 and 1319, and no other."""
    bits = bloom_bits(bytes.fromhex("0f572e5295c57f15886f9b263e2f6d2d6c7b5ec6"))
    assert [place for place in range(8 * BLOOM_BYTES) if bits >> place & 1] == sorted({1323, 431, 1319})


@given(st.lists(st.tuples(addresses, topics), min_size=1, max_size=20), st.data())
def test_what_is_in_a_block_is_never_denied(logs: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    bloom = 0
    for address, topic in logs:
        bloom |= bloom_bits(address) | bloom_bits(topic)
    address, topic = data.draw(st.sampled_from(logs))
    wanted = LogFilter({f"0x{address.hex()}": [f"0x{topic.hex()}"]})
    assert wanted.may_be_in(f"0x{bloom.to_bytes(BLOOM_BYTES, 'big').hex()}")


@given(addresses, topics)
def test_an_empty_block_has_nothing(address: bytes, topic: bytes) -> None:
    assert not LogFilter({f"0x{address.hex()}": [f"0x{topic.hex()}"]}).may_be_in("0x" + "00" * BLOOM_BYTES)


def full_block(rng: random.Random, transfer: bytes, logs: int) -> str:
    """The filter of a block like mainnet's: most logs are transfers of a few hundred tokens between accounts, each with
    two accounts of its own as topics."""
    bloom = bloom_bits(transfer)
    for number in range(logs):
        bloom |= bloom_bits(rng.randbytes(20)) if number % 3 == 0 else 0
        bloom |= bloom_bits(rng.randbytes(32)) | bloom_bits(rng.randbytes(32))
    return f"0x{bloom.to_bytes(BLOOM_BYTES, 'big').hex()}"


@pytest.mark.parametrize(("logs", "most"), [(100, 0.05), (200, 0.25), (400, 0.6)])
def test_how_many_full_blocks_are_doubted(logs: int, most: float) -> None:
    """A common topic alone is in each of them; with the address of a contract that is not in the block, fewer."""
    rng = random.Random(logs)
    transfer, contract = rng.randbytes(32), rng.randbytes(20)
    wanted = LogFilter({f"0x{contract.hex()}": [f"0x{transfer.hex()}"]})
    blocks = [full_block(rng, transfer, logs) for _ in range(200)]
    doubted = sum(wanted.may_be_in(bloom) for bloom in blocks) / len(blocks)
    assert doubted <= most


def test_a_topic_of_another_address_does_not_count() -> None:
    htlc, token, locked, transfer = bytes([1]) * 20, bytes([2]) * 20, bytes([3]) * 32, bytes([4]) * 32
    wanted = LogFilter({f"0x{htlc.hex()}": [f"0x{locked.hex()}"], f"0x{token.hex()}": [f"0x{transfer.hex()}"]})
    crossed = bloom_bits(htlc) | bloom_bits(transfer)
    assert not wanted.may_be_in(f"0x{crossed.to_bytes(BLOOM_BYTES, 'big').hex()}")
    assert not wanted.matches(f"0x{htlc.hex()}", [f"0x{transfer.hex()}"])
    assert wanted.matches(f"0x{htlc.hex()}".upper().replace("X", "x"), [f"0x{locked.hex()}"])
