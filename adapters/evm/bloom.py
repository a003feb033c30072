"""A header's `logsBloom`: whether a block can have logs of ours at all (yellow paper, section 4.4.3, function M).

A filter answers "no" for certain and "yes" by chance, too: the fuller the block, the more often.
"""

from collections.abc import Collection, Mapping, Sequence
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
    """Which logs are ours: by address (`0x…`, lower case) the first topics that its logs may have.

    Only these pairs count. A full block has nearly every common topic (every block moves some token), so the question
    that decides is if the very address with one of *its* topics can be in it.
    """

    def __init__(self, wanted: Mapping[str, Collection[str]]) -> None:
        self._wanted = {address: frozenset(topics) for address, topics in wanted.items()}
        self._bits = [
            (bloom_bits(bytes.fromhex(address[2:])), [bloom_bits(bytes.fromhex(topic[2:])) for topic in topics])
            for address, topics in self._wanted.items()
        ]

    def matches(self, address: str, topics: Sequence[str]) -> bool:
        return bool(topics) and topics[0] in self._wanted.get(address.lower(), ())

    def may_be_in(self, bloom: str) -> bool:
        """Return true if a block with this filter can hold such a log.

        Raise `RetryableError` for a malformed filter.
        """
        try:
            set_bits = int.from_bytes(bytes.fromhex(bloom[2:]).rjust(BLOOM_BYTES, b"\0"), "big")
        except ValueError as error:
            raise RetryableError("an endpoint answered with a malformed logsBloom") from error
        return any(
            address & set_bits == address and any(topic & set_bits == topic for topic in topics)
            for address, topics in self._bits
        )
