"""The finalized sequence of an account, also from nodes that keep no state as old as their finalized block.

Such a node shows what an account's sequence is in its newest block. Once that very block is final, so is the sequence:
what was seen is remembered, by block hash, until then. After a start it takes as long as finality does.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from adapters.evm.decode import Number, RawHeader, header_of
from adapters.evm.rpc import Call, RpcClient, quantity
from core.model.errors import CausewayError
from core.model.types import BlockRef, ChainId

MAX_ACCOUNTS: Final = 256
MAX_SIGHTINGS: Final = 512
SIGHTING_BLOCKS: Final = 8
"""Blocks after which an unchanged sequence is noted again: the block of the older note may be replaced."""
MAX_LOOKS: Final = 4
"""Notes that are compared with the chain in one call."""

_HEADER: Final = RawHeader | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """The next sequence of an account in the state after a block."""

    block: BlockRef
    sequence: int


@dataclass(slots=True)
class _Account:
    sightings: list[Sighting] = field(default_factory=list)
    finalized: int | None = None


class FinalSequences:
    """The sequences of accounts that one adapter has seen, by endpoint."""

    def __init__(self, chain: ChainId) -> None:
        self._chain = chain
        self._accounts: OrderedDict[tuple[str, str], _Account] = OrderedDict()

    async def look(self, client: RpcClient, address: str) -> int | None:
        """Note the newest sequence of `address` (`0x…`). Return the finalized one if it can be known by now.

        Raise `RetryableError` if the endpoint does not answer.
        """
        seen = self._account(client, address)
        latest, final = await client.batch(
            [Call("eth_getBlockByNumber", (tag, False), _HEADER) for tag in ("latest", "finalized")]
        )
        if latest is None or final is None:
            return seen.finalized
        block = header_of(self._chain, latest).ref
        sequence = await self._sequence_in(client, address, block)
        if sequence is not None:
            _note(seen.sightings, Sighting(block, sequence))
        await self._settle(client, seen, header_of(self._chain, final).height)
        return seen.finalized

    async def _sequence_in(self, client: RpcClient, address: str, block: BlockRef) -> int | None:
        """The sequence after this very block, which is read before and after it; None if it was replaced meanwhile."""
        header = Call("eth_getBlockByNumber", (hex(block.height), False), _HEADER)
        before, answer, after = await client.batch_each(
            [header, Call("eth_getTransactionCount", (address, hex(block.height)), Number), header]
        )
        for one in (before, after):
            if not isinstance(one, RawHeader) or header_of(self._chain, one).ref != block:
                return None
        return quantity(answer) if isinstance(answer, str) else None

    async def _settle(self, client: RpcClient, seen: _Account, final_height: int) -> None:
        """Take over what the newest note says that stands in a block that is final now."""
        for _ in range(MAX_LOOKS):
            due = [one for one in seen.sightings if one.block.height <= final_height]
            if not due:
                return
            newest = due[-1]
            try:
                raw: RawHeader | None = await client.call(
                    "eth_getBlockByNumber", hex(newest.block.height), False, into=_HEADER
                )
            except CausewayError:
                return
            if raw is not None and header_of(self._chain, raw).ref == newest.block:
                # A sequence never falls; what a final block has shown stays.
                seen.finalized = max(seen.finalized or 0, newest.sequence)
                seen.sightings = [one for one in seen.sightings if one.block.height >= newest.block.height]
                return
            seen.sightings.remove(newest)

    def _account(self, client: RpcClient, address: str) -> _Account:
        key = (client.url, address)
        found = self._accounts.setdefault(key, _Account())
        self._accounts.move_to_end(key)
        while len(self._accounts) > MAX_ACCOUNTS:
            self._accounts.popitem(last=False)
        return found


def _note(sightings: list[Sighting], new: Sighting) -> None:
    """Append it, in the order of heights; what a lower head contradicts goes."""
    while sightings and sightings[-1].block.height >= new.block.height:
        sightings.pop()
    last = sightings[-1] if sightings else None
    if last is not None and last.sequence == new.sequence and new.block.height - last.block.height < SIGHTING_BLOCKS:
        return
    sightings.append(new)
    if len(sightings) > MAX_SIGHTINGS:
        del sightings[1::2]
