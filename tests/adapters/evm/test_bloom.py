"""Bloom filters of headers, against those that a node writes and a filter of known content."""

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
    wanted = LogFilter([f"0x{address.hex()}"], [f"0x{topic.hex()}"])
    assert wanted.may_be_in(f"0x{bloom.to_bytes(BLOOM_BYTES, 'big').hex()}")


@given(addresses, topics)
def test_an_empty_block_has_nothing(address: bytes, topic: bytes) -> None:
    assert not LogFilter([f"0x{address.hex()}"], [f"0x{topic.hex()}"]).may_be_in("0x" + "00" * BLOOM_BYTES)
