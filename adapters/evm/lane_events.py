"""The events of one lock, searched from the newest block back."""

from typing import Final

from adapters.evm.contract_events import ContractDecoder
from adapters.evm.decode import CLAIMED_TOPIC, LOCKED_TOKEN_TOPIC, LOCKED_TOPIC, REFUNDED_TOPIC, RawLog, Sources
from adapters.evm.decode import logged_events as decoded
from adapters.evm.logs import is_too_long, lowered
from adapters.evm.names import hex_address
from adapters.evm.rpc import Call, RpcClient, data_bytes, quantity
from core.model.errors import CausewayError, RetryableError
from core.model.facts import BlockHeader, Claimed, Locked, Refunded
from core.model.types import BlockRef, ChainId, Hashlock, Height, LockId

MAX_LOOKBACK: Final = 200_000
"""Blocks that are searched at most: a lock lives for hours, and these are more than four days of 2-second blocks."""
MAX_ROUNDS: Final = 64
"""Requests that one search makes at most."""
SPANS_A_ROUND: Final = 16

_TOPICS: Final[dict[type, tuple[str, ...]]] = {
    Locked: (LOCKED_TOPIC, LOCKED_TOKEN_TOPIC),
    Claimed: (CLAIMED_TOPIC,),
    Refunded: (REFUNDED_TOPIC,),
}


class LaneEvents:
    """Searches by hashlock, which every event of our contract has as a topic."""

    def __init__(self, chain: ChainId, htlc: bytes) -> None:
        self._chain = chain
        self._htlc = hex_address(htlc)
        self._sources = Sources(chain, self._htlc, (), ContractDecoder(chain, {}))

    async def newest(
        self,
        client: RpcClient,
        lock_id: LockId,
        hashlock: Hashlock,
        kinds: tuple[type[Locked | Claimed | Refunded], ...],
        first: Height,
        last: BlockHeader,
    ) -> BlockRef | None:
        """Return the block of the newest such event of this lock from height `first` to the block `last`.

        Return None if there is none. Raise `RetryableError` if it cannot be known: for an endpoint that refuses its
        logs, and beyond `MAX_LOOKBACK` and `MAX_ROUNDS`.
        """
        topics = [topic for kind in kinds for topic in _TOPICS[kind]]
        lowest, high = max(first, last.height - MAX_LOOKBACK + 1, 0), int(last.height)
        for _ in range(MAX_ROUNDS):
            if high < lowest:
                if lowest > first:
                    break
                return None
            size = client.ranges.size()
            spans: list[tuple[int, int]] = []
            top = high
            while top >= lowest and len(spans) < min(SPANS_A_ROUND, client.batches.size()):
                spans.append((max(lowest, top - size + 1), top))
                top -= size
            answers = await client.batch_each([self._call(span, topics, hashlock) for span in spans])
            for span, answer in zip(spans, answers, strict=True):
                if isinstance(answer, CausewayError):
                    length = span[1] - span[0] + 1
                    if length == 1 or not is_too_long(answer):
                        raise RetryableError(f"{client} refuses the logs of block {span[0]}: {answer.message}")
                    client.ranges.refused(length)
                    break
                client.ranges.took(span[1] - span[0] + 1)
                if (block := self._newest_of(answer or [], lock_id, kinds, span)) is not None:
                    return block
                high = span[0] - 1
        raise RetryableError(
            f"the events of lock {lock_id} were not found in the {last.height - high} newest blocks of {client}, which "
            "keeps no state of its finalized block: name an endpoint that keeps more state (an archive node)"
        )

    def _call(self, span: tuple[int, int], topics: list[str], hashlock: Hashlock) -> Call:
        wanted = {
            "fromBlock": hex(span[0]),
            "toBlock": hex(span[1]),
            "address": self._htlc,
            "topics": [topics, f"0x{hashlock.hex()}"],
        }
        return Call("eth_getLogs", (wanted,), list[RawPlacedLog] | None)

    def _newest_of(
        self, logs: "list[RawPlacedLog]", lock_id: LockId, kinds: tuple[type, ...], span: tuple[int, int]
    ) -> BlockRef | None:
        found: BlockRef | None = None
        for entry in logs:
            height = quantity(entry.block_number)
            if not span[0] <= height <= span[1]:
                raise RetryableError(f"an endpoint of {self._chain} answered with a log of another range")
            block = BlockRef(self._chain, Height(height), data_bytes(entry.block_hash))
            for one in decoded(block, self._sources, [lowered(entry)]):
                if isinstance(one.event, kinds) and one.event.lock_id == lock_id:  # type: ignore[union-attr]
                    found = block if found is None or block.height >= found.height else found
        return found


class RawPlacedLog(RawLog, kw_only=True):
    """A log with its block's height."""

    block_number: str
