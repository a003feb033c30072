"""The methods of CometBFT's RPC that take, find and list transactions (CometBFT RPC OpenAPI, v0.38 to v0.40)."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from core.model.consortium import MAX_TRANSACTION_BYTES, ResultCode, transaction_hash
from core.model.errors import CausewayError, RetryableError
from core.proofs import merkle
from core.proofs.cometbft import json as comet_json
from core.runtime.web import Places
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.intake import Admission
from local_chains.consortium.engine.mempool import AlreadySeenError, MempoolFullError, NoRoomError
from local_chains.consortium.engine.rendering import CODESPACE, ResultJson, decode, result_to_json, results_json
from local_chains.consortium.ledger.execution import Result
from local_chains.consortium.rpc.errors import RpcError, internal
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
from local_chains.consortium.rpc.workshop import CLIENT, Workshop
from local_chains.consortium.state.store import StoredBlock

COMMIT_TIMEOUT_S: Final = 10.0
MAX_COMMITS: Final = 64
MAX_COMMITS_OF_A_CLIENT: Final = 32
"""Calls of `broadcast_tx_commit` that wait for their block; each listens as a subscription does."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def transaction_methods(methods: "TransactionMethods") -> dict[str, Method]:
    """By name."""
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


class TransactionMethods:
    """Methods about transactions, committed or not."""

    def __init__(self, engine: EmbeddedEngine, workshop: Workshop) -> None:
        self._engine = engine
        self._workshop = workshop
        self._commits = Places("calls of broadcast_tx_commit", MAX_COMMITS, MAX_COMMITS_OF_A_CLIENT)

    async def _submit(self, arguments: Arguments) -> tuple[bytes, Result]:
        raw = _transaction(arguments)
        [admission] = await self._admitted((raw,))
        return raw, _result(admission)

    async def _admitted(self, transactions: Sequence[bytes]) -> list[Admission]:
        try:
            return await self._engine.admit(transactions)
        except MempoolFullError as error:
            return [error] * len(transactions)

    async def broadcast_all(self, method: str, calls: Sequence[Arguments | RpcError]) -> list[Any]:
        """The answers to several calls of `broadcast_tx_sync` or `broadcast_tx_async`, in order, or what each raises.
        Their transactions are taken in their order."""
        found: list[Any] = list(calls)
        for place, arguments in enumerate(calls):
            if not isinstance(arguments, RpcError):
                try:
                    found[place] = _transaction(arguments)
                except RpcError as error:
                    found[place] = error
        places = [place for place, one in enumerate(found) if isinstance(one, bytes)]
        admissions = await self._admitted([found[place] for place in places])
        say = _taken if method == "broadcast_tx_sync" else _sent
        for place, admission in zip(places, admissions, strict=True):
            try:
                found[place] = say(found[place], _result(admission))
            except (CausewayError, RpcError) as error:
                found[place] = error
        return found

    async def broadcast_tx_sync(self, arguments: Arguments) -> dict[str, Any]:
        return _taken(*await self._submit(arguments))

    async def broadcast_tx_async(self, arguments: Arguments) -> dict[str, Any]:
        """Like sync, but its answer says nothing of the check."""
        return _sent(*await self._submit(arguments))

    async def broadcast_tx_commit(self, arguments: Arguments) -> dict[str, Any]:
        """Wait for the block, `COMMIT_TIMEOUT_S` at the most. Meant for trying things out."""
        try:
            with self._commits.taken(CLIENT.get()):
                return await self._committed(arguments)
        except TimeoutError:
            raise internal("timed out waiting for tx to be included in a block") from None
        except RetryableError as error:
            raise internal(error.message) from None

    async def _committed(self, arguments: Arguments) -> dict[str, Any]:
        listener = self._engine.feed.listen()
        try:
            try:
                raw, checked = await self._submit(arguments)
            except RpcError as error:
                raise internal(f"error on broadcastTxCommit: {error.data}") from None
            tx_hash = comet_json.bytes_to_hex(transaction_hash(raw))
            answer = {"check_tx": _checked(checked), "hash": tx_hash}
            if checked.code:
                return answer | {"tx_result": result_to_json(Result(ResultCode.OK)), "height": "0"}
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                while True:
                    committed = await listener.next()
                    if raw in committed.block.txs:
                        result = committed.results[committed.block.txs.index(raw)]
                        return answer | {"tx_result": result_to_json(result), "height": str(committed.height)}
        finally:
            self._engine.feed.leave(listener)

    async def check_tx(self, arguments: Arguments) -> ResultJson:
        """The check alone: nothing is taken in."""
        await self._engine.settled()
        return _checked(self._engine.mempool.check(arguments.get("tx", b"")))

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
        contents = await self._contents(place[0])
        if contents is None:
            raise internal(f"tx ({comet_json.bytes_to_hex(tx_hash)}) not found")
        return await self._workshop.run(lambda: contents.answer(place[1], arguments.get("prove", False)))

    async def tx_search(self, arguments: Arguments) -> dict[str, Any]:
        """Return the oldest first, unless asked otherwise."""
        query = parse_query(arguments.get("query", ""))
        places = ordered(arguments, await find_transactions(self._engine, self._workshop, query), default="asc")
        prove = arguments.get("prove", False)
        found = []
        for height, position in page_of(arguments, places):
            contents = await self._contents(height)
            if contents is not None:
                found.append(await self._workshop.run(partial(contents.answer, position, prove)))
        return {"txs": found, "total_count": str(len(places))}

    async def _contents(self, height: int) -> "_Contents | None":
        """None for a block that was forgotten meanwhile."""
        stored = await self._engine.store.block(height)
        if stored is None:
            return None
        size = len(stored.block) + len(stored.results)
        return await self._workshop.made(("contents", height), size, lambda: _Contents(stored))


def _transaction(arguments: Arguments) -> bytes:
    raw: bytes = arguments.get("tx", b"")
    if len(raw) > MAX_TRANSACTION_BYTES:
        raise internal(f"Tx too large. Max size is {MAX_TRANSACTION_BYTES}, but got {len(raw)}")
    return raw


def _result(admission: Admission) -> Result:
    """CheckTx's answer. Raise what a call answers with instead."""
    if isinstance(admission, NoRoomError):
        log = f"{ResultCode.NO_ROOM.word}: {admission.message}"
        return Result(ResultCode.NO_ROOM, log, (), admission.cost)
    if isinstance(admission, AlreadySeenError | MempoolFullError):
        raise internal(admission.message)
    if isinstance(admission, CausewayError):
        raise admission
    return admission


def _taken(raw: bytes, result: Result) -> dict[str, Any]:
    """The answer of `broadcast_tx_sync`."""
    return {
        "code": int(result.code),
        "data": "",
        "log": result.log,
        "codespace": CODESPACE if result.code else "",
        "hash": comet_json.bytes_to_hex(transaction_hash(raw)),
    }


def _sent(raw: bytes, _: Result) -> dict[str, Any]:
    """The answer of `broadcast_tx_async`, whatever the check said."""
    return {"code": 0, "data": "", "log": "", "codespace": "", "hash": comet_json.bytes_to_hex(transaction_hash(raw))}


def _checked(result: Result) -> ResultJson:
    """A check has no events."""
    return result_to_json(replace(result, events=()))


class _Contents:
    """A block's transactions with their results, and the tree over them once somebody wants a proof."""

    def __init__(self, stored: StoredBlock) -> None:
        self._height = stored.height
        self._txs = comet_json.block_from_json(decode(stored.block)["block"]).txs
        self._results = _raw_list(_members(results_json(stored))["txs_results"])
        self._tree: merkle.Tree | None = None

    def answer(self, index: int, prove: bool) -> dict[str, Any]:
        """One transaction as `/tx` shows it."""
        raw = self._txs[index]
        answer = {
            "hash": comet_json.bytes_to_hex(transaction_hash(raw)),
            "height": str(self._height),
            "index": index,
            # A copy: the original keeps the results of the whole block in memory.
            "tx_result": self._results[index].copy(),
            "tx": comet_json.bytes_to_base64(raw),
        }
        return answer | {"proof": self._proof(index)} if prove else answer

    def _proof(self, index: int) -> dict[str, Any]:
        if self._tree is None:
            self._tree = merkle.Tree([transaction_hash(raw) for raw in self._txs])
        return _tx_proof(self._txs[index], self._tree.root, self._tree.prove(index))


def _tx_proof(raw: bytes, root: bytes, proof: merkle.MerkleProof) -> dict[str, Any]:
    return {
        "root_hash": comet_json.bytes_to_hex(root),
        "data": comet_json.bytes_to_base64(raw),
        "proof": {
            "total": str(proof.total),
            "index": str(proof.index),
            "leaf_hash": comet_json.bytes_to_base64(proof.leaf_hash),
            "aunts": [comet_json.bytes_to_base64(aunt) for aunt in proof.aunts],
        },
    }
