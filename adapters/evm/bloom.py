"""A header's `logsBloom`: whether a block can have logs of ours at all (yellow paper, section 4.4.3, function M).

A filter answers "no" for certain and "yes" by chance, too: the fuller the block, the more often.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from core.model.errors import RetryableError
from core.proofs.keccak import keccak256

BLOOM_BYTES: Final = 256
BITS: Final = 8 * BLOOM_BYTES


def bloom_bits(value: bytes) -> int:
    """The three bits that an address or a topic sets, as a number of 2,048 bits."""
    digest = keccak256(value)
    bits = 0
    for first in (0, 2, 4):
        bits |= 1 << (int.from_bytes(digest[first : first + 2], "big") % BITS)
    return bits


class LogFilter:
    """What is asked for with `address` and the first of `topics`: `0x…`."""

    def __init__(self, addresses: Iterable[str], topics: Iterable[str]) -> None:
        self._addresses = frozenset(addresses)
        self._topics = frozenset(topics)
        self._address_bits = [bloom_bits(bytes.fromhex(address[2:])) for address in self._addresses]
        self._topic_bits = [bloom_bits(bytes.fromhex(topic[2:])) for topic in self._topics]

    def matches(self, address: str, topics: Sequence[str]) -> bool:
        return address.lower() in self._addresses and bool(topics) and topics[0] in self._topics

    def may_be_in(self, bloom: str) -> bool:
        """Whether a block with this filter can hold such a log.

        Raises `RetryableError` for a filter that is none.
        """
        try:
            set_bits = int.from_bytes(bytes.fromhex(bloom[2:]).rjust(BLOOM_BYTES, b"\0"), "big")
        except ValueError as error:
            raise RetryableError("an endpoint answered with a malformed logsBloom") from error
        return any(bits & set_bits == bits for bits in self._address_bits) and any(
            bits & set_bits == bits for bits in self._topic_bits
        )
