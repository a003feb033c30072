"""The methods of CometBFT's RPC that take, find and list transactions (CometBFT RPC OpenAPI, v0.38 to v0.40)."""

import asyncio
from typing import Any, Final

import msgspec

from core.model.consortium import ResultCode, transaction_hash
from core.model.errors import CausewayError, RetryableError
from core.proofs import merkle
from core.proofs.cometbft import json as comet_json
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.mempool import AlreadySeenError, MempoolFullError
from local_chains.consortium.engine.rendering import CODESPACE, ResultJson, decode, result_to_json
from local_chains.consortium.ledger.execution import Result
from local_chains.consortium.rpc.errors import internal
from local_chains.consortium.rpc.event_query import parse_query
from local_chains.consortium.rpc.parameters import (
    DEFAULT_PER_PAGE,
    MAX_PER_PAGE,
    ORDER,
    PAGES,
    Arguments,
    Kind,
    Method,
    Signature,
    ordered,
    page_of,
)
from local_chains.consortium.rpc.search import find_transactions

COMMIT_TIMEOUT_S: Final = 10.0

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def transaction_methods(engine: EmbeddedEngine) -> dict[str, Method]:
    """By name."""
    methods = _TransactionMethods(engine)
    tx: Signature = {"tx": Kind.BYTES}
    prove: Signature = {"prove": Kind.BOOLEAN}
    return {
        "broadcast_tx_async": Method(tx, methods.broadcast_tx_async),
        "broadcast_tx_sync": Method(tx, methods.broadcast_tx_sync),
        "broadcast_tx_commit": Method(tx, methods.broadcast_tx_commit),
        "check_tx": Method(tx, methods.check_tx),
        "unconfirmed_txs": Method({"limit": Kind.INTEGER}, methods.unconfirmed_txs),
        "num_unconfirmed_txs": Method({}, methods.num_unconfirmed_txs),
        "tx": Method({"hash": Kind.BYTES, **prove}, methods.tx),
        "tx_search": Method({"query": Kind.STRING, **prove, **PAGES, **ORDER}, methods.tx_search),
    }


class _TransactionMethods:
    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine

    async def _submit(self, arguments: Arguments) -> tuple[bytes, Result]:
        raw = arguments.get("tx", b"")
        try:
            [admission] = await self._engine.admit((raw,))
        except MempoolFullError as error:
            admission = error
        if isinstance(admission, AlreadySeenError | MempoolFullError):
            raise internal(admission.message)
        if isinstance(admission, CausewayError):
            raise admission
        return raw, admission

    async def broadcast_tx_sync(self, arguments: Arguments) -> dict[str, Any]:
        raw, result = await self._submit(arguments)
        return {
            "code": int(result.code),
            "data": "",
            "log": result.log,
            "codespace": CODESPACE if result.code else "",
            "hash": comet_json.bytes_to_hex(transaction_hash(raw)),
        }

    async def broadcast_tx_async(self, arguments: Arguments) -> dict[str, Any]:
        """Like sync, but its answer says nothing of the check."""
        raw, _ = await self._submit(arguments)
        tx_hash = comet_json.bytes_to_hex(transaction_hash(raw))
        return {"code": 0, "data": "", "log": "", "codespace": "", "hash": tx_hash}

    async def broadcast_tx_commit(self, arguments: Arguments) -> dict[str, Any]:
        """Wait for the block, `COMMIT_TIMEOUT_S` at the most. Meant for trying things out."""
        listener = self._engine.feed.listen()
        try:
            raw, checked = await self._submit(arguments)
            tx_hash = comet_json.bytes_to_hex(transaction_hash(raw))
            answer = {"check_tx": result_to_json(checked), "hash": tx_hash}
            if checked.code:
                return answer | {"tx_result": result_to_json(Result(ResultCode.OK)), "height": "0"}
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                while True:
                    committed = await listener.next()
                    if raw in committed.block.txs:
                        result = committed.results[committed.block.txs.index(raw)]
                        return answer | {"tx_result": result_to_json(result), "height": str(committed.height)}
        except TimeoutError:
            raise internal("timed out waiting for tx to be included in a block") from None
        except RetryableError as error:
            raise internal(error.message) from None
        finally:
            self._engine.feed.leave(listener)

    async def check_tx(self, arguments: Arguments) -> ResultJson:
        """The check alone: nothing is taken in."""
        await self._engine.settled()
        return result_to_json(self._engine.mempool.check(arguments.get("tx", b"")))

    async def unconfirmed_txs(self, arguments: Arguments) -> dict[str, Any]:
        limit = arguments.get("limit", DEFAULT_PER_PAGE)
        waiting = self._engine.mempool.first(min(max(limit, 1), MAX_PER_PAGE))
        counts = await self.num_unconfirmed_txs({})
        return counts | {"n_txs": str(len(waiting)), "txs": [comet_json.bytes_to_base64(raw) for raw in waiting]}

    async def num_unconfirmed_txs(self, _: Arguments) -> dict[str, Any]:
        count = str(len(self._engine.mempool))
        return {"n_txs": count, "total": count, "total_bytes": str(self._engine.mempool.size_bytes), "txs": None}

    async def tx(self, arguments: Arguments) -> dict[str, Any]:
        tx_hash = arguments.get("hash", b"")
        if not tx_hash:
            raise internal("transaction hash cannot be empty")
        place = await self._engine.find_transaction(tx_hash)
        if place is None:
            raise internal(f"tx ({comet_json.bytes_to_hex(tx_hash)}) not found")
        return (await self._txs(place[0], arguments.get("prove", False)))[place[1]]

    async def tx_search(self, arguments: Arguments) -> dict[str, Any]:
        """The oldest first, unless told otherwise."""
        query = parse_query(arguments.get("query", ""))
        places = ordered(arguments, await find_transactions(self._engine, query), default="asc")
        blocks: dict[int, list[dict[str, Any]]] = {}
        found = []
        for height, position in page_of(arguments, places):
            if height not in blocks:
                blocks[height] = await self._txs(height, arguments.get("prove", False))
            found.append(blocks[height][position])
        return {"txs": found, "total_count": str(len(places))}

    async def _txs(self, height: int, prove: bool) -> list[dict[str, Any]]:
        stored = await self._engine.store.block(height)
        if stored is None:
            return []
        txs = comet_json.block_from_json(decode(stored.block)["block"]).txs
        results = _raw_list(_members(stored.results)["txs_results"])
        answers = []
        for index, (raw, result) in enumerate(zip(txs, results, strict=True)):
            answer = {
                "hash": comet_json.bytes_to_hex(transaction_hash(raw)),
                "height": str(height),
                "index": index,
                "tx_result": result,
                "tx": comet_json.bytes_to_base64(raw),
            }
            answers.append(answer | {"proof": _tx_proof(txs, index)} if prove else answer)
        return answers


def _tx_proof(txs: tuple[bytes, ...], index: int) -> dict[str, Any]:
    hashes = [transaction_hash(raw) for raw in txs]
    proof = merkle.prove(hashes, index)
    return {
        "root_hash": comet_json.bytes_to_hex(merkle.root(hashes)),
        "data": comet_json.bytes_to_base64(txs[index]),
        "proof": {
            "total": str(proof.total),
            "index": str(proof.index),
            "leaf_hash": comet_json.bytes_to_base64(proof.leaf_hash),
            "aunts": [comet_json.bytes_to_base64(aunt) for aunt in proof.aunts],
        },
    }
