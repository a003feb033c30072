"""Which of a node's settings are in the way, found out once at connect, with what follows from each."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from adapters.consortium.raw_blocks import fetch_block
from adapters.consortium.results import NEITHER, NO_INDEX, NO_RESULTS, BlockResults
from adapters.consortium.rpc import CometRpc, RpcError, base64_of, parsed, text_of
from core.model.consortium import transaction_hash
from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.types import ChainId, Height
from core.proofs.cometbft.json import integer_from_json, object_from_json

MIN_KEPT_BLOCKS: Final = 4_000
"""A node that keeps fewer blocks is named: a follower that was away for longer cannot catch up there."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NodeReport:
    """One endpoint as it presents itself. `warnings`: what works less well, and why. `faults`: what cannot work."""

    url: str
    version: str
    head: Height
    earliest: Height
    catching_up: bool
    keeps_results: bool
    keeps_index: bool
    lists_pending: bool
    warnings: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def facts(self) -> tuple[str, ...]:
        """Return what it offers, in words for people."""
        return (f"CometBFT {self.version}", f"blocks from {self.earliest:,} to {self.head:,}")

    def log(self) -> None:
        for sentence in (*self.warnings, *self.faults):
            _log.warning("a setting of the node is in the way", endpoint=self.url, why=sentence)

    def require_usable(self) -> None:
        """Raise `RejectedError` if it cannot work."""
        if self.faults:
            raise RejectedError(f"{self.url}: {'; '.join(self.faults)}")


async def newest_height(rpc: CometRpc) -> Height:
    """Return the node's newest block's height, 0 if it has none yet. Raise `RetryableError` if it is silent."""
    status = await rpc.call("status")
    return _height(parsed(lambda: object_from_json(status.get("sync_info"))), "latest_block_height")


def _height(sync: Mapping[str, Any], name: str) -> Height:
    return Height(parsed(lambda: integer_from_json(sync.get(name) or 0)))


async def probe(rpc: CometRpc, chain: ChainId, genesis_hash: bytes | None = None) -> NodeReport:
    """Ask the node for its state, for one answer of each optional kind, and for its first block if a hash is given.

    Raise `RetryableError` if it is silent.
    """
    status = await rpc.call("status")
    sync = parsed(lambda: object_from_json(status.get("sync_info")))
    info = parsed(lambda: object_from_json(status.get("node_info")))
    head, earliest = _height(sync, "latest_block_height"), _height(sync, "earliest_block_height")
    # The newest block's results and index may still be on their way.
    block = await fetch_block(rpc, chain, Height(max(1, earliest, head - 1)))
    results = BlockResults(rpc)
    keeps_results = await _offers(results.kept(block))
    searches = await _offers(results.indexed(block))
    first = transaction_hash(block.entries[0]) if block.entries else bytes(32)
    finds = await _offers(rpc.call_raw("tx", hash=base64_of(first), prove=False))
    lists_pending = await _offers(rpc.call_raw("unconfirmed_txs", limit="1"))
    catching_up = sync.get("catching_up") is True
    warnings = {
        f"{NO_RESULTS}: the events of blocks are read by tx_search": not keeps_results and searches,
        f"{NO_INDEX}: in which block a transaction is, is read from the newest blocks": not finds,
        f"it keeps blocks from {earliest} on only: who was away for longer cannot catch up here": (
            earliest > 1 and head - earliest < MIN_KEPT_BLOCKS
        ),
        "it does not list waiting transactions: they are broadcast again until they are in a block": not lists_pending,
        "it is catching up: it takes no transactions, and shows old blocks as the newest": catching_up,
    }
    return NodeReport(
        url=rpc.origin,
        version=text_of(info.get("version")),
        head=head,
        earliest=earliest,
        catching_up=catching_up,
        keeps_results=keeps_results,
        keeps_index=searches and finds,
        lists_pending=lists_pending,
        warnings=tuple(sentence for sentence, holds in warnings.items() if holds),
        faults=tuple([] if keeps_results or searches else [NEITHER])
        + (await _other_chain(rpc, chain, genesis_hash) if genesis_hash is not None else ()),
    )


async def _other_chain(rpc: CometRpc, chain: ChainId, genesis_hash: bytes) -> tuple[str, ...]:
    try:
        found = (await fetch_block(rpc, chain, Height(1))).ref.hash
    except NotFoundError:  # pruned
        return ()
    if found == genesis_hash:
        return ()
    return (f"it serves another {chain}, whose first block is {found.hex()}: remove it or correct its url",)


async def probe_all(rpcs: Sequence[CometRpc], chain: ChainId, genesis_hash: bytes | None = None) -> list[NodeReport]:
    """Report on every endpoint that answers, and log what is in the way.

    Raise `RejectedError` if endpoints answer and none of them can work.
    """
    reports = [
        report
        for report in await asyncio.gather(*(_tried(rpc, chain, genesis_hash) for rpc in rpcs))
        if report is not None
    ]
    for report in reports:
        report.log()
    if reports and all(report.faults for report in reports):
        reports[0].require_usable()
    return reports


async def _tried(rpc: CometRpc, chain: ChainId, genesis_hash: bytes | None) -> NodeReport | None:
    try:
        return await probe(rpc, chain, genesis_hash)
    except (RetryableError, RejectedError) as error:
        _log.warning("an endpoint could not be looked at", endpoint=rpc.origin, reason=error.message)
        return None


async def _offers(asking: Awaitable[object]) -> bool:
    """Return true unless the node refuses the method. A node that does not know this answer, or not yet, offers it."""
    try:
        await asking
    except RpcError as error:
        return isinstance(error.translated(), NotFoundError)
    except RetryableError:
        return True
    return True
