"""The logs of blocks as one endpoint gives them: by block hash, by ranges as long as it takes, by receipts.

How long a range may be is learnt from what it refuses (`RpcClient.ranges`), in whatever words: providers limit blocks,
results or time, free tiers to ten blocks.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from adapters.evm.bloom import LogFilter
from adapters.evm.decode import RawHeader, RawLog, RawReceipt
from adapters.evm.errors import refusal_in
from adapters.evm.rpc import Call, RpcClient, data_bytes, quantity
from adapters.evm.words import Refusal
from adapters.omitted import doubts
from core.model.errors import (
    CausewayError,
    NotFoundError,
    RejectedError,
    ReorgedError,
    RetryableError,
    UnclearRefusalError,
)
from core.model.facts import BlockHeader
from core.model.types import ChainId, Height
from core.runtime.logging import get_logger

MAX_BY_HASH: Final = 16
"""The most blocks that are asked for their logs one by one, by hash; longer ranges by height and checked afterwards."""
MAX_RECEIPT_FAILURES: Final = 3
"""Failures to answer for receipts in a row after which an endpoint counts as one that offers none."""
ADDRESS_CHARS: Final = 42
HASH_CHARS: Final = 66
MAX_TOPICS: Final = 4

_HEADER: Final = RawHeader | None
_LOGS: Final = list[RawLog] | None
"""Some nodes say null for none."""

log = get_logger("adapters.evm.logs")


class LogReader:
    """Reads the logs that `addresses` emit with any of `topics` first (`0x…`, lower case)."""

    def __init__(
        self, chain: ChainId, addresses: Sequence[str], topics: Sequence[str], wanted: Mapping[str, Collection[str]]
    ) -> None:
        self._chain = chain
        self._addresses, self._topics = addresses, topics
        self._filter = LogFilter(wanted)

    def call(self, where: dict[str, Any]) -> Call:
        return Call("eth_getLogs", ({**where, "address": self._addresses, "topics": [self._topics]},), _LOGS)

    async def read(self, client: RpcClient, headers: Sequence[BlockHeader]) -> list[RawLog]:
        """Return the logs of these blocks, which are linked.

        Raise `ReorgedError` if a block went away meanwhile, `RetryableError` if the endpoint refuses them.
        """
        if len(headers) <= MAX_BY_HASH:
            return await self._by_hash(client, [f"0x{one.ref.hash.hex()}" for one in headers])
        return await self._by_range(client, headers)

    async def _by_hash(self, client: RpcClient, hashes: Sequence[str]) -> list[RawLog]:
        answers = await client.batch_each([self.call({"blockHash": block}) for block in hashes])
        found: list[RawLog] = []
        for block, answer in zip(hashes, answers, strict=True):
            if isinstance(answer, NotFoundError):
                raise ReorgedError(f"a block of {self._chain} went away while its logs were read") from answer
            if isinstance(answer, CausewayError):
                if not is_too_long(answer):
                    raise answer
                found += await self._instead(client, block, answer)
            else:
                found += answer or ()
        return found

    async def _instead(self, client: RpcClient, block: str, refused: CausewayError) -> list[RawLog]:
        """Return the logs of a block that holds more than the endpoint gives by its index, from its receipts."""
        if (found := await self._receipts(client, [block])) is None:
            raise RetryableError(f"{client} refuses the logs of block {block}: {refused.message}")
        return found

    async def _by_range(self, client: RpcClient, headers: Sequence[BlockHeader]) -> list[RawLog]:
        """By height, in spans that the endpoint takes; one that holds too much is halved."""
        found: list[RawLog] = []
        done = 0
        while done < len(headers):
            left = headers[done:]
            if client.ranges.is_sure(min(client.ranges.size(), len(left))):
                blocks, logs = await self._round(client, left)
            else:
                async with client.learning:
                    blocks, logs = await self._round(client, left)
            found += logs
            done += blocks
        return found

    async def _round(self, client: RpcClient, headers: Sequence[BlockHeader]) -> tuple[int, list[RawLog]]:
        """Return the logs of the first of these blocks, of as many as one request gives; none if it was too long."""
        size, last = client.ranges.size(), headers[-1]
        spans = [headers[at : at + size] for at in range(0, len(headers), size)][: max(1, client.batches.size() - 1)]
        again = Call("eth_getBlockByNumber", (hex(last.height), False), _HEADER)
        try:
            *parts, check = await client.batch_each([*map(self._by_height, spans), again])
        except RetryableError as error:
            if not refusal_in(error):
                client.ranges.doubted(len(spans[0]))
            raise
        blocks, found = 0, list[RawLog]()
        for span, answer in zip(spans, parts, strict=True):
            if isinstance(answer, CausewayError):
                if not is_too_long(answer):
                    raise answer
                if len(span) > 1:
                    client.ranges.refused(len(span))
                    break
                found += await self._by_hash(client, [f"0x{span[0].ref.hash.hex()}"])
            else:
                client.ranges.took(len(span))
                found += answer or ()
            blocks += len(span)
        if blocks:
            if isinstance(check, CausewayError):
                raise check
            # The headers are linked, so the last one's hash stands for all of them.
            if check is None or data_bytes(check.hash) != last.ref.hash:
                raise ReorgedError(f"{self._chain} changed while its logs were read")
        return blocks, found

    def _by_height(self, span: Sequence[BlockHeader]) -> Call:
        return self.call({"fromBlock": hex(span[0].height), "toBlock": hex(span[-1].height)})

    async def omitted(
        self, client: RpcClient, raw: Sequence[RawHeader], logs: Mapping[str, Sequence[RawLog]], newest: Height
    ) -> list[RawLog]:
        """Return the logs of blocks that have some though none came, see `adapters.omitted`. A node without receipts is
        believed."""
        blooms = {one.hash.lower(): one.logs_bloom for one in raw}

        def may_have(block: str) -> bool:
            bloom = blooms[block]
            return bool(bloom) and self._filter.may_be_in(bloom or "")

        heights = [(Height(quantity(one.number)), one.hash.lower()) for one in raw]
        doubted = doubts(heights, logs, may_have, newest)
        found = await self._receipts(client, doubted.first)
        if not found:
            return []
        return found + (await self._receipts(client, doubted.rest) or [])

    async def _receipts(self, client: RpcClient, hashes: Sequence[str]) -> list[RawLog] | None:
        """The wanted logs of these blocks from their receipts, None from an endpoint that does not offer them."""
        found: list[RawLog] = []
        for first in range(0, len(hashes), MAX_BY_HASH):
            part = hashes[first : first + MAX_BY_HASH]
            try:
                answers = await client.batch(
                    [Call("eth_getBlockReceipts", (block,), list[RawReceipt] | None) for block in part]
                )
            except NotFoundError as error:
                raise ReorgedError(f"a block of {self._chain} went away while its receipts were read") from error
            except (RejectedError, UnclearRefusalError) as error:
                self._without_receipts(client, error)
                return None
            except RetryableError as error:
                if refusal_in(error) == Refusal.RATE_LIMITED:
                    raise
                client.receipt_failures += 1
                if client.receipt_failures < MAX_RECEIPT_FAILURES:
                    raise
                self._without_receipts(client, error)
                return None
            client.receipt_failures = 0
            if None in answers:
                raise ReorgedError(f"a block of {self._chain} went away while its receipts were read")
            entries = [entry for receipts in answers for receipt in receipts for entry in receipt.logs or ()]
            found += [entry for entry in entries if self._filter.matches(entry.address, lowered(entry).topics)]
        return found

    def _without_receipts(self, client: RpcClient, error: CausewayError) -> None:
        log.info(
            "an endpoint gives no receipts: its empty answers about logs are believed",
            chain=self._chain,
            endpoint=str(client),
            reason=error.message,
        )

    def grouped(self, hashes: Sequence[str], logs: Sequence[RawLog]) -> dict[str, list[RawLog]]:
        """The logs by block, also blocks without any, their texts in lower case.

        Raise `ReorgedError` for a log of none of these blocks, `RetryableError` for one that no block can hold.
        """
        grouped: dict[str, list[RawLog]] = {block: [] for block in hashes}
        for entry in logs:
            block = grouped.get(entry.block_hash.lower())
            if block is None:
                raise ReorgedError(f"a log of {self._chain} belongs to another branch")
            if not _is_whole(entry):
                raise RetryableError(f"an endpoint of {self._chain} answered with a malformed log")
            block.append(lowered(entry))
        return grouped


def _is_whole(entry: RawLog) -> bool:
    topics = entry.topics
    return (
        len(entry.address) == ADDRESS_CHARS
        and len(entry.transaction_hash) == HASH_CHARS
        and len(topics) <= MAX_TOPICS
        and len("".join(topics)) == HASH_CHARS * len(topics)
    )


def lowered(entry: RawLog) -> RawLog:
    """The log with address and topics as they are compared; data and hashes are read in any case."""
    if not entry.address.islower():
        entry.address = entry.address.lower()
    if not "".join(entry.topics).islower():
        entry.topics = tuple([topic.lower() for topic in entry.topics])
    return entry


def is_too_long(error: CausewayError) -> bool:
    """Return true if eth_getLogs was refused in a way that less may mend: in any words but those of other trouble."""
    if isinstance(error, NotFoundError):
        return False
    return isinstance(error, RejectedError | UnclearRefusalError) or refusal_in(error) == Refusal.FAILED_INSIDE
