"""Blocks with the events of our contract and tokens, each event tied to the very block hash that it is told for."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from adapters.evm.bloom import LogFilter
from adapters.evm.contract_events import ContractDecoder
from adapters.evm.decode import (
    HTLC_TOPICS,
    TRANSFER_TOPIC,
    RawHeader,
    RawLog,
    RawReceipt,
    Sources,
    header_of,
    logged_events,
)
from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address
from adapters.evm.native import payment_reader
from adapters.evm.rpc import Call, quantity
from adapters.omitted import doubts
from core.model.errors import NotFoundError, RejectedError, ReorgedError
from core.model.facts import Block, BlockHeader, NativeTransfers
from core.model.types import ChainId, Height

MAX_BLOCK_RANGE: Final = 500
MAX_BY_HASH: Final = 16
"""Up to so many blocks are asked for their logs one by one, by hash; longer ranges by height and checked afterwards."""

_HEADER: Final = RawHeader | None


class EvmBlockSource:
    """`BlockSource` for one chain: the events of `htlc` and of `contracts`, the transfers of `tokens`, and payments of
    the native coin as far as `native` says."""

    def __init__(
        self,
        chain: ChainId,
        endpoints: Endpoints,
        htlc: bytes,
        tokens: Collection[bytes],
        contracts: ContractDecoder | None = None,
        native: NativeTransfers = NativeTransfers.NONE,
    ) -> None:
        self._chain = chain
        self._payments = payment_reader(chain, endpoints, native)
        self._max_range = self._payments.max_range if self._payments else MAX_BLOCK_RANGE
        self._endpoints = endpoints
        followed = contracts or ContractDecoder(chain, {})
        self._sources = Sources(chain, hex_address(htlc), [hex_address(token) for token in tokens], followed)
        wanted = {address: set(topics) for address, topics in followed.topics.items()}
        wanted.setdefault(self._sources.htlc, set()).update(HTLC_TOPICS)
        for token in self._sources.tokens:
            wanted.setdefault(token, set()).add(TRANSFER_TOPIC)
        self._addresses = sorted(wanted)
        self._topics = sorted(set().union(*wanted.values()))
        self._filter = LogFilter(wanted)
        self._expected: BlockHeader | None = None

    def expect(self, head: BlockHeader) -> None:
        """This block will be asked for next: by its hash, its logs and its header are one request."""
        self._expected = head

    async def header(self, at: Height | bytes) -> BlockHeader:
        """By canonical height or by hash. Raises `NotFoundError`."""
        if isinstance(at, bytes):
            raw: RawHeader | None = await self._endpoints.call(
                "eth_getBlockByHash", f"0x{at.hex()}", False, into=_HEADER
            )
        else:
            raw = await self._endpoints.call("eth_getBlockByNumber", hex(at), False, into=_HEADER)
        if raw is None:
            where = f"0x{at.hex()}" if isinstance(at, bytes) else f"height {at}"
            raise NotFoundError(f"{self._chain} has no block at {where}")
        return header_of(self._chain, raw)

    async def blocks(self, first: Height, last: Height) -> Sequence[Block]:
        """See the port: linked, and the events belong to exactly these hashes."""
        if not 0 <= first <= last or last - first >= self._max_range:
            raise RejectedError(f"ask for 1 to {self._max_range} blocks, not for {first} to {last}")
        if first == last and (known := await self._expected_block(first)) is not None:
            raw, newest, told = known
        else:
            (raw, newest), told = await self._raw_headers(first, last), None
        headers = self._linked(raw)
        hashes = [one.hash.lower() for one in raw]
        if told is not None:
            logs = self._grouped(hashes, told)
        elif len(hashes) <= MAX_BY_HASH:
            logs = self._grouped(hashes, await self._logs_by_hash(hashes))
        else:
            logs = self._grouped(hashes, await self._logs_by_range(headers))
        for block, missing in self._grouped(hashes, await self._logs_omitted(raw, logs, newest)).items():
            logs[block] += missing
        blocks = [
            Block(header, logged_events(header.ref, self._sources, logs[block]))
            for header, block in zip(headers, hashes, strict=True)
        ]
        if self._payments is None:
            return blocks
        paid = await self._payments.logged(raw, headers)
        return [Block(block.header, block.events + more) for block, more in zip(blocks, paid, strict=True)]

    async def check_payments(self) -> None:
        """Raises `RejectedError` where the node cannot tell the payments that are wanted."""
        if self._payments is not None:
            newest: RawHeader = await self._endpoints.call("eth_getBlockByNumber", "latest", False, into=RawHeader)
            await self._payments.probe(newest.hash)

    async def _raw_headers(self, first: Height, last: Height) -> tuple[list[RawHeader], Height]:
        """The headers, and the newest height of the endpoint that gave them."""
        calls = [self._header_call(height) for height in range(first, last + 1)]
        *raw, newest = await self._endpoints.batch([*calls, Call("eth_blockNumber")])
        if None in raw:
            raise NotFoundError(f"{self._chain} ends below height {last}")
        return raw, Height(quantity(newest))

    def _header_call(self, height: int) -> Call:
        """With what is needed of its transactions to read their payments."""
        full, into = (self._payments.full, self._payments.header | None) if self._payments else (False, _HEADER)
        return Call("eth_getBlockByNumber", (hex(height), full), into)

    async def _expected_block(self, height: Height) -> tuple[list[RawHeader], Height, list[RawLog]] | None:
        """Header, the endpoint's newest height and logs by one request; None where another block is there."""
        expected, self._expected = self._expected, None
        if expected is None or expected.height != height:
            return None
        wanted = f"0x{expected.ref.hash.hex()}"
        try:
            raw, newest, logs = await self._endpoints.batch(
                [self._header_call(height), Call("eth_blockNumber"), self._logs_call({"blockHash": wanted})]
            )
        except RejectedError:
            return None
        if raw is None or raw.hash.lower() != wanted:
            return None
        return [raw], Height(quantity(newest)), logs

    def _linked(self, raw: Sequence[RawHeader]) -> list[BlockHeader]:
        headers = [header_of(self._chain, item) for item in raw]
        for parent, child in itertools.pairwise(headers):
            if child.parent_hash != parent.ref.hash:
                raise ReorgedError(f"block {child.height} of {self._chain} does not follow the block before it")
        return headers

    async def _logs_by_hash(self, hashes: Sequence[str]) -> list[RawLog]:
        calls = [self._logs_call({"blockHash": block}) for block in hashes]
        try:
            answers = await self._endpoints.batch(calls)
        except NotFoundError as error:
            raise ReorgedError(f"a block of {self._chain} went away while its logs were read") from error
        return list(itertools.chain.from_iterable(answers))

    async def _logs_by_range(self, headers: Sequence[BlockHeader]) -> list[RawLog]:
        first, last = headers[0], headers[-1]
        logs, again = await self._endpoints.batch(
            [
                self._logs_call({"fromBlock": hex(first.height), "toBlock": hex(last.height)}),
                Call("eth_getBlockByNumber", (hex(last.height), False), _HEADER),
            ]
        )
        # The headers are linked, so the last one's hash stands for all of them.
        if again is None or bytes.fromhex(again.hash[2:]) != last.ref.hash:
            raise ReorgedError(f"{self._chain} changed while its logs were read")
        found: list[RawLog] = logs
        return found

    async def _logs_omitted(
        self, raw: Sequence[RawHeader], logs: Mapping[str, Sequence[RawLog]], newest: Height
    ) -> list[RawLog]:
        """Logs that blocks have though none were told, see `adapters.omitted`. A node without receipts is believed."""
        blooms = {one.hash.lower(): one.logs_bloom for one in raw}

        def may_have(block: str) -> bool:
            return bool(blooms[block]) and self._filter.may_be_in(blooms[block])

        heights = [(Height(quantity(one.number)), one.hash.lower()) for one in raw]
        doubted = doubts(heights, logs, may_have, newest)
        found = await self._logs_by_receipts(doubted.first)
        return found + await self._logs_by_receipts(doubted.rest) if found else found

    async def _logs_by_receipts(self, hashes: Sequence[str]) -> list[RawLog]:
        found: list[RawLog] = []
        for first in range(0, len(hashes), MAX_BY_HASH):
            part = hashes[first : first + MAX_BY_HASH]
            calls = [Call("eth_getBlockReceipts", (block,), list[RawReceipt] | None) for block in part]
            try:
                answers = await self._endpoints.batch(calls)
            except NotFoundError as error:
                raise ReorgedError(f"a block of {self._chain} went away while its receipts were read") from error
            except RejectedError:
                return found
            if None in answers:
                raise ReorgedError(f"a block of {self._chain} went away while its receipts were read")
            told = [log for receipts in answers for receipt in receipts for log in receipt.logs]
            found += [log for log in told if self._filter.matches(log.address, log.topics)]
        return found

    def _grouped(self, hashes: Sequence[str], logs: Sequence[RawLog]) -> dict[str, list[RawLog]]:
        """The logs by block, blocks without any among them. Raises `ReorgedError` for a log of none of these blocks."""
        grouped: dict[str, list[RawLog]] = {block: [] for block in hashes}
        for log in logs:
            block = grouped.get(log.block_hash.lower())
            if block is None:
                raise ReorgedError(f"a log of {self._chain} belongs to another branch")
            block.append(log)
        return grouped

    def _logs_call(self, where: dict[str, Any]) -> Call:
        return Call("eth_getLogs", ({**where, "address": self._addresses, "topics": [self._topics]},), list[RawLog])
