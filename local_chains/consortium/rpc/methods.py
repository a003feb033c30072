"""The methods of CometBFT's RPC, answered by an embedded engine (CometBFT RPC OpenAPI, v0.38 to v0.40)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from core.model.consortium import ResultCode, transaction_hash
from core.model.errors import CausewayError, RejectedError, RetryableError
from core.proofs import merkle
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.types import BLOCK_PROTOCOL, NIL_BLOCK_ID
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.home import consensus_params
from local_chains.consortium.engine.mempool import AlreadySeenError, MempoolFullError
from local_chains.consortium.engine.proposal import APP_VERSION
from local_chains.consortium.engine.queries import QueryAnswer, answer_query
from local_chains.consortium.engine.rendering import CODESPACE, decode, result_to_json
from local_chains.consortium.ledger.execution import Result
from local_chains.consortium.rpc.errors import internal
from local_chains.consortium.rpc.event_query import parse_query
from local_chains.consortium.rpc.parameters import Arguments, Kind, Signature
from local_chains.consortium.state.store import MAX_HEADERS, StoredBlock

DEFAULT_PER_PAGE: Final = 30
MAX_PER_PAGE: Final = 100
COMMIT_TIMEOUT_S: Final = 10.0
COMET_VERSION: Final = "0.40.0"
"""The version whose RPC this speaks, as clients choose their decoders by it."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Method:
    """A method's arguments and what answers it."""

    signature: Signature
    answer: Callable[[Arguments], Awaitable[Any]]


class Methods:
    """All methods but the subscriptions, which belong to a connection."""

    def __init__(self, engine: EmbeddedEngine, moniker: str = "causeway") -> None:
        self._engine = engine
        self._moniker = moniker
        height: Signature = {"height": Kind.INTEGER}
        tx: Signature = {"tx": Kind.BYTES}
        pages: Signature = {"page": Kind.INTEGER, "per_page": Kind.INTEGER}
        prove: Signature = {"prove": Kind.BOOLEAN}
        self.table: dict[str, Method] = {
            "health": Method({}, self.health),
            "status": Method({}, self.status),
            "net_info": Method({}, self.net_info),
            "genesis": Method({}, self.genesis),
            "block": Method(height, self.block),
            "block_by_hash": Method({"hash": Kind.BYTES}, self.block_by_hash),
            "block_results": Method(height, self.block_results),
            "blockchain": Method({"minHeight": Kind.INTEGER, "maxHeight": Kind.INTEGER}, self.blockchain),
            "header": Method(height, self.header),
            "header_by_hash": Method({"hash": Kind.BYTES}, self.header_by_hash),
            "commit": Method(height, self.commit),
            "validators": Method({**height, **pages}, self.validators),
            "consensus_params": Method(height, self.consensus_params),
            "abci_info": Method({}, self.abci_info),
            "abci_query": Method({"path": Kind.STRING, "data": Kind.HEX, **height, **prove}, self.abci_query),
            "broadcast_tx_async": Method(tx, self.broadcast_tx_async),
            "broadcast_tx_sync": Method(tx, self.broadcast_tx_sync),
            "broadcast_tx_commit": Method(tx, self.broadcast_tx_commit),
            "unconfirmed_txs": Method({"limit": Kind.INTEGER}, self.unconfirmed_txs),
            "num_unconfirmed_txs": Method({}, self.num_unconfirmed_txs),
            "tx": Method({"hash": Kind.BYTES, **prove}, self.tx),
            "tx_search": Method({"query": Kind.STRING, **prove, **pages, "order_by": Kind.STRING}, self.tx_search),
        }

    # --- the node ---

    async def health(self, _: Arguments) -> dict[str, Any]:
        return {}

    async def status(self, _: Arguments) -> dict[str, Any]:
        tip, genesis = self._engine.tip, self._engine.genesis
        first = await self._engine.store.block(1)
        first_header = None if first is None else _header_of(first)
        newest = await self._engine.store.block(tip.height)
        validator = tip.turn.validators.validators[0]
        return {
            "node_info": self._node_info(),
            "sync_info": {
                "latest_block_hash": comet_json.bytes_to_hex(tip.block_id.hash),
                "latest_app_hash": "" if newest is None else _header_of(newest)["app_hash"],
                "latest_block_height": str(tip.height),
                "latest_block_time": comet_json.timestamp_to_json(tip.time),
                "earliest_block_hash": "" if first is None else comet_json.bytes_to_hex(first.hash),
                "earliest_app_hash": "" if first_header is None else first_header["app_hash"],
                "earliest_block_height": "0" if first is None else "1",
                "earliest_block_time": comet_json.timestamp_to_json(genesis.time),
                "catching_up": False,
            },
            "validator_info": {
                "address": comet_json.bytes_to_hex(validator.address),
                "pub_key": comet_json.public_key_to_json(validator.public_key),
                "voting_power": str(validator.power),
            },
        }

    def _node_info(self) -> dict[str, Any]:
        return {
            "protocol_version": {"p2p": "8", "block": str(BLOCK_PROTOCOL), "app": str(APP_VERSION)},
            "id": self._engine.genesis.hash[:20].hex(),
            "listen_addr": "",
            "network": self._engine.genesis.chain_id,
            "version": COMET_VERSION,
            "channels": "",
            "moniker": self._moniker,
            "other": {"tx_index": "on", "rpc_address": ""},
        }

    async def net_info(self, _: Arguments) -> dict[str, Any]:
        return {"listening": False, "listeners": [], "n_peers": "0", "peers": []}

    async def genesis(self, _: Arguments) -> dict[str, Any]:
        return {"genesis": self._engine.genesis.document}

    async def consensus_params(self, arguments: Arguments) -> dict[str, Any]:
        height = self._height(arguments, self._engine.tip.height)
        kinds = sorted({member.public_key.kind.value for member in self._engine.genesis.validators.validators})
        return {"block_height": str(height), "consensus_params": consensus_params(kinds)}

    # --- blocks ---

    def _height(self, arguments: Arguments, highest: int) -> int:
        height: int = arguments.get("height", self._engine.tip.height)
        if "height" in arguments and height <= 0:
            raise internal(f"height must be greater than 0, but got {height}")
        if height > highest:
            raise internal(
                f"height {height} must be less than or equal to the current blockchain height {self._engine.tip.height}"
            )
        return height

    async def _block(self, arguments: Arguments) -> StoredBlock:
        height = self._height(arguments, self._engine.tip.height)
        stored = await self._engine.store.block(height)
        if stored is None:
            raise internal(f"height {height} is not available, no block was made yet")
        return stored

    async def _by_hash(self, arguments: Arguments) -> StoredBlock | None:
        return await self._engine.store.block_by_hash(arguments.get("hash", b""))

    async def block(self, arguments: Arguments) -> Any:
        return msgspec.Raw((await self._block(arguments)).block)

    async def block_by_hash(self, arguments: Arguments) -> Any:
        stored = await self._by_hash(arguments)
        nothing = {"block_id": comet_json.block_id_to_json(NIL_BLOCK_ID), "block": None}
        return nothing if stored is None else msgspec.Raw(stored.block)

    async def block_results(self, arguments: Arguments) -> Any:
        return msgspec.Raw((await self._block(arguments)).results)

    async def header(self, arguments: Arguments) -> dict[str, Any]:
        return {"header": _header_of(await self._block(arguments))}

    async def header_by_hash(self, arguments: Arguments) -> dict[str, Any]:
        stored = await self._by_hash(arguments)
        return {"header": None if stored is None else _header_of(stored)}

    async def blockchain(self, arguments: Arguments) -> dict[str, Any]:
        newest = self._engine.tip.height
        last = min(arguments.get("maxHeight") or newest, newest)
        first = max(arguments.get("minHeight") or 1, last - MAX_HEADERS + 1, 1)
        if first > last:
            raise internal(f"min height {first} can't be greater than max height {last}")
        stored = await self._engine.store.blocks(first, last)
        return {"last_height": str(newest), "block_metas": [_block_meta(block) for block in stored]}

    async def commit(self, arguments: Arguments) -> dict[str, Any]:
        stored = await self._block(arguments)
        signed = {"header": _header_of(stored), "commit": msgspec.Raw(stored.commit)}
        return {"signed_header": signed, "canonical": stored.height < self._engine.tip.height}

    async def validators(self, arguments: Arguments) -> dict[str, Any]:
        height = self._height(arguments, self._engine.tip.height + 1)
        found = await self._engine.validators(height)
        if found is None:
            raise internal(f"could not find validator set for height #{height}")
        members = comet_json.validator_set_to_json(found)
        page = _page(arguments, members)
        return {
            "block_height": str(height),
            "validators": page,
            "count": str(len(page)),
            "total": str(len(members)),
        }

    # --- the application ---

    async def abci_info(self, _: Arguments) -> dict[str, Any]:
        tip = self._engine.tip
        return {
            "response": {
                "data": "causeway",
                "version": "1",
                "app_version": str(APP_VERSION),
                "last_block_height": str(tip.height),
                "last_block_app_hash": comet_json.bytes_to_base64(tip.app_hash),
            }
        }

    async def abci_query(self, arguments: Arguments) -> dict[str, Any]:
        """`height` h (0 or none: the newest) asks for the state after block h, proven by the header of h + 1."""
        answer = await answer_query(
            self._engine.state,
            self._engine.store,
            arguments.get("path", ""),
            arguments.get("data", b""),
            arguments.get("height", 0),
            arguments.get("prove", False),
        )
        return {"response": _query_response(answer)}

    # --- transactions ---

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
        place = await self._place(tx_hash)
        if place is None:
            raise internal(f"tx ({comet_json.bytes_to_hex(tx_hash)}) not found")
        return (await self._txs(place[0], arguments.get("prove", False)))[place[1]]

    async def _place(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, position) of a transaction. A block that is stored but not yet the tip is nobody's to see."""
        place = await self._engine.store.transaction(tx_hash)
        return None if place is None or place[0] > self._engine.tip.height else place

    async def tx_search(self, arguments: Arguments) -> dict[str, Any]:
        """By `tx.hash = '…'` or `tx.height = n`."""
        query = parse_query(arguments.get("query", ""))
        text, height = query.equals("tx.hash"), query.equals("tx.height")
        if len(query.conditions) != 1 or (text is None and height is None):
            raise internal("transactions are found by tx.hash = '…' or tx.height = … alone")
        prove = arguments.get("prove", False)
        found: list[dict[str, Any]] = []
        try:
            if text is not None:
                place = await self._place(comet_json.bytes_from_hex(text))
                found = [] if place is None else [(await self._txs(place[0], prove))[place[1]]]
            elif height is not None:
                found = await self._txs(comet_json.integer_from_json(height), prove)
        except RejectedError as error:
            raise internal(error.message) from None
        if arguments.get("order_by") == "desc":
            found.reverse()
        return {"txs": _page(arguments, found) if found else [], "total_count": str(len(found))}

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


def _header_of(stored: StoredBlock) -> Any:
    return decode(stored.block)["block"]["header"]


def _block_meta(stored: StoredBlock) -> dict[str, Any]:
    block = decode(stored.block)
    return {
        "block_id": block["block_id"],
        "block_size": str(stored.size),
        "header": block["block"]["header"],
        "num_txs": str(len(block["block"]["data"]["txs"])),
    }


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


def _page(arguments: Arguments, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    per_page = arguments.get("per_page", DEFAULT_PER_PAGE)
    per_page = DEFAULT_PER_PAGE if per_page < 1 else min(per_page, MAX_PER_PAGE)
    pages = max(1, (len(items) + per_page - 1) // per_page)
    page = arguments.get("page", 1)
    if not 1 <= page <= pages:
        raise internal(f"page should be within [1, {pages}] range, given {page}")
    return items[(page - 1) * per_page : page * per_page]


def _query_response(answer: QueryAnswer) -> dict[str, Any]:
    key = comet_json.bytes_to_base64(answer.key)
    ops = None
    if answer.op is not None:
        kind, data = answer.op
        ops = {"ops": [{"type": kind, "key": key, "data": comet_json.bytes_to_base64(data)}]}
    return {
        "code": answer.code,
        "log": answer.log,
        "info": "",
        "index": "0",
        "key": key,
        "value": None if answer.leaf is None else comet_json.bytes_to_base64(answer.leaf),
        "proofOps": ops,
        "height": str(answer.height),
        "codespace": CODESPACE if answer.code else "",
    }
