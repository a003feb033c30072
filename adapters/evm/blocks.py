"""Blocks with the events of our contract and tokens, each event tied to the very block hash that it is logged for."""

import itertools
from collections.abc import Collection, Sequence
from typing import Final

from adapters.evm.contract_events import ContractDecoder
from adapters.evm.decode import (
    HTLC_TOPICS,
    TRANSFER_TOPIC,
    RawHeader,
    RawLog,
    Sources,
    header_of,
    logged_events,
)
from adapters.evm.endpoints import Endpoints
from adapters.evm.logs import LogReader
from adapters.evm.names import hex_address
from adapters.evm.native import payment_reader
from adapters.evm.rpc import Call, RpcClient, quantity
from core.model.errors import NotFoundError, RejectedError, ReorgedError, UnclearRefusalError
from core.model.facts import Block, BlockHeader, NativeTransfers
from core.model.types import ChainId, Height

MAX_BLOCK_RANGE: Final = 500
RANGE_S: Final = 3.0
"""The time in which a range should be read, while two others are read ahead; callers wait ten seconds for one."""
FIXED_REQUESTS: Final = 2
"""Requests that a range needs whatever its length."""

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
        self._payments = payment_reader(chain, native)
        self._max_range = self._payments.max_range if self._payments else MAX_BLOCK_RANGE
        self._endpoints = endpoints
        followed = contracts or ContractDecoder(chain, {})
        self._sources = Sources(chain, hex_address(htlc), [hex_address(token) for token in tokens], followed)
        wanted = {address: set(topics) for address, topics in followed.topics.items()}
        wanted.setdefault(self._sources.htlc, set()).update(HTLC_TOPICS)
        for token in self._sources.tokens:
            wanted.setdefault(token, set()).add(TRANSFER_TOPIC)
        self._logs = LogReader(chain, sorted(wanted), sorted(set().union(*wanted.values())), wanted)
        self._expected: BlockHeader | None = None

    def expect(self, head: BlockHeader) -> None:
        """This block will be asked for next: by its hash, its logs and its header are one request."""
        self._expected = head

    async def header(self, at: Height | bytes) -> BlockHeader:
        """By canonical height or by hash. Raise `NotFoundError`."""
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
        """See the port: linked, and the events belong to exactly these hashes. All of it is one endpoint's word.

        Raise `RejectedError` for a longer range than an endpoint gives in time, with the length that it may have now
        as `fields["at_most"]`.
        """
        if not 0 <= first <= last or last - first >= self._max_range:
            raise RejectedError(f"ask for 1 to {self._max_range} blocks, not for {first} to {last}")
        return await self._endpoints.first(lambda client: self._blocks_of(client, first, last))

    async def _blocks_of(self, client: RpcClient, first: Height, last: Height) -> Sequence[Block]:
        at_most = self._in_time(client)
        if last - first >= at_most:
            raise RejectedError(f"ask for 1 to {at_most} blocks: {client} is slow", at_most=at_most)
        if first == last and (known := await self._expected_block(client, first)) is not None:
            raw, newest, at_head = known
        else:
            raw, newest = await self._raw_headers(client, first, last)
            at_head = None
        headers = self._linked(raw)
        hashes = [one.hash.lower() for one in raw]
        logs = self._logs.grouped(hashes, await self._logs.read(client, headers) if at_head is None else at_head)
        for block, missing in self._logs.grouped(hashes, await self._logs.omitted(client, raw, logs, newest)).items():
            logs[block] += missing
        blocks = [
            Block(header, logged_events(header.ref, self._sources, logs[block]))
            for header, block in zip(headers, hashes, strict=True)
        ]
        if self._payments is None:
            return blocks
        paid = await self._payments.logged(client, raw, headers)
        return [Block(block.header, block.events + more) for block, more in zip(blocks, paid, strict=True)]

    def _in_time(self, client: RpcClient) -> int:
        """How many blocks an endpoint gives within `RANGE_S`, at the pace and with the limits learnt of it."""
        requests = client.requests_within(RANGE_S) - FIXED_REQUESTS
        batch, span = client.batches.known, client.ranges.known
        a_block = 1 / batch + 1 / (span * batch)
        if self._payments is not None:
            a_block += 1 / batch
        return max(1, min(self._max_range, int(requests / a_block)))

    async def check_payments(self) -> None:
        """Raise `RejectedError` if the node cannot show the payments that are wanted."""
        payments = self._payments
        if payments is None:
            return

        async def check(client: RpcClient) -> None:
            newest: RawHeader = await client.call("eth_getBlockByNumber", "latest", False, into=RawHeader)
            await payments.probe(client, newest.hash)

        await self._endpoints.first(check)

    async def _raw_headers(self, client: RpcClient, first: Height, last: Height) -> tuple[list[RawHeader], Height]:
        """The headers, and the newest height of the endpoint that gave them."""
        calls = [self._header_call(height) for height in range(first, last + 1)]
        *raw, newest = await client.batch([*calls, Call("eth_blockNumber")])
        if None in raw:
            raise NotFoundError(f"{self._chain} ends below height {last}")
        return raw, Height(quantity(newest))

    def _header_call(self, height: int) -> Call:
        """With what is needed of its transactions to read their payments."""
        full, into = (self._payments.full, self._payments.header | None) if self._payments else (False, _HEADER)
        return Call("eth_getBlockByNumber", (hex(height), full), into)

    async def _expected_block(
        self, client: RpcClient, height: Height
    ) -> tuple[list[RawHeader], Height, list[RawLog]] | None:
        """Header, the endpoint's newest height and logs by one request; None if another block is there."""
        expected, self._expected = self._expected, None
        if expected is None or expected.height != height:
            return None
        wanted = f"0x{expected.ref.hash.hex()}"
        try:
            raw, newest, logs = await client.batch(
                [self._header_call(height), Call("eth_blockNumber"), self._logs.call({"blockHash": wanted})]
            )
        except (RejectedError, UnclearRefusalError):
            return None
        if raw is None or raw.hash.lower() != wanted:
            return None
        return [raw], Height(quantity(newest)), logs or []

    def _linked(self, raw: Sequence[RawHeader]) -> list[BlockHeader]:
        headers = [header_of(self._chain, item) for item in raw]
        for parent, child in itertools.pairwise(headers):
            if child.parent_hash != parent.ref.hash:
                raise ReorgedError(f"block {child.height} of {self._chain} does not follow the block before it")
        return headers
