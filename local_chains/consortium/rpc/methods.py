"""The methods of CometBFT's RPC, answered by an embedded engine (CometBFT RPC OpenAPI, v0.38 to v0.40)."""

from typing import Any, Final

import msgspec

from core.model.consortium import APP_VERSION
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.types import BLOCK_PROTOCOL, NIL_BLOCK_ID
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.home import consensus_params
from local_chains.consortium.engine.queries import QueryAnswer, answer_query
from local_chains.consortium.engine.rendering import CODESPACE, encode, results_json
from local_chains.consortium.rpc.errors import internal
from local_chains.consortium.rpc.event_query import parse_query
from local_chains.consortium.rpc.parameters import ORDER, PAGES, Arguments, Kind, Method, Signature, ordered, page_of
from local_chains.consortium.rpc.search import find_blocks
from local_chains.consortium.rpc.transactions import TransactionMethods, transaction_methods
from local_chains.consortium.rpc.workshop import Workshop
from local_chains.consortium.state.store import BlockHead, StoredBlock
from local_chains.consortium.state.tables import MAX_HEADERS

_AUTHORITY: Final = {"authority": {"authority": ""}}
"""A consensus parameter that no file of ours sets, as nodes print it."""
_EMPTY_LISTS: Final = ("finalize_block_events", "validator_updates")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

GENESIS_CHUNK_BYTES: Final = 16 * 1024 * 1024
MAX_FOUND_BYTES: Final = 32 * 1024 * 1024
"""Of the blocks in one answer of `block_search`; the first is in it, whatever its size."""
COMET_VERSION: Final = "0.39.0"
"""The version that a node of CometBFT v0.40.0 gives itself: clients choose their decoders by it."""


class Methods:
    """All methods but the subscriptions, which belong to a connection."""

    def __init__(self, engine: EmbeddedEngine, moniker: str = "causeway", workshop: Workshop | None = None) -> None:
        self._engine = engine
        self._workshop = workshop or Workshop()
        self._genesis: bytes | None = None
        self._moniker = moniker
        transactions = TransactionMethods(engine, self._workshop)
        height: Signature = {"height": Kind.INTEGER}
        query: Signature = {"path": Kind.STRING, "data": Kind.HEX, "height": Kind.INTEGER, "prove": Kind.BOOLEAN}
        self.table: dict[str, Method] = {
            "health": Method({}, self.health),
            "status": Method({}, self.status),
            "net_info": Method({}, self.net_info),
            "genesis": Method({}, self.genesis),
            "genesis_chunked": Method({"chunk": Kind.NATURAL}, self.genesis_chunked),
            "block": Method(height, self.block),
            "block_by_hash": Method({"hash": Kind.BYTES}, self.block_by_hash),
            "block_results": Method(height, self.block_results),
            "blockchain": Method({"minHeight": Kind.INTEGER, "maxHeight": Kind.INTEGER}, self.blockchain),
            "header": Method(height, self.header),
            "header_by_hash": Method({"hash": Kind.HEX}, self.header_by_hash),
            "commit": Method(height, self.commit),
            "block_search": Method({"query": Kind.STRING, **PAGES, **ORDER}, self.block_search),
            "validators": Method({**height, **PAGES}, self.validators),
            "consensus_params": Method(height, self.consensus_params),
            "abci_info": Method({}, self.abci_info),
            "abci_query": Method(query, self.abci_query),
            **transaction_methods(transactions),
        }
        self.broadcast_all = transactions.broadcast_all

    def close(self) -> None:
        self._workshop.close()

    # --- the node ---

    async def health(self, _: Arguments) -> dict[str, Any]:
        return {}

    async def status(self, _: Arguments) -> dict[str, Any]:
        tip, genesis = self._engine.tip, self._engine.genesis
        first = await self._engine.store.head(self._engine.store.first)
        first_header = None if first is None else _header_of(first)
        earliest = comet_json.timestamp_to_json(genesis.time) if first_header is None else first_header["time"]
        newest = await self._engine.store.head(tip.height)
        validator = tip.turn.validators.validators[0]
        return {
            "node_info": self._node_info(),
            "sync_info": {
                "latest_block_hash": comet_json.bytes_to_hex(tip.block_id.hash),
                "latest_app_hash": "" if newest is None else _header_of(newest)["app_hash"],
                "latest_block_height": str(tip.height),
                "latest_block_time": comet_json.timestamp_to_json(tip.time),
                "earliest_block_hash": "" if first is None else first.document["block_id"]["hash"],
                "earliest_app_hash": "" if first_header is None else first_header["app_hash"],
                "earliest_block_height": str(self._engine.store.first),
                "earliest_block_time": earliest,
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
            # No peers are served here; clients insist on an address.
            "listen_addr": "tcp://127.0.0.1:0",
            "network": self._engine.genesis.chain_id,
            "version": COMET_VERSION,
            "channels": "",
            "moniker": self._moniker,
            "other": {"tx_index": "on", "rpc_address": ""},
        }

    async def net_info(self, _: Arguments) -> dict[str, Any]:
        return {"listening": False, "listeners": [], "n_peers": "0", "peers": []}

    async def genesis(self, _: Arguments) -> Any:
        """As it is asked for again and again: made once."""
        document = await self._genesis_document()
        if len(document) > GENESIS_CHUNK_BYTES:
            raise internal("genesis response is large, please use the genesis_chunked API instead")
        return msgspec.Raw(b'{"genesis":%b}' % document)

    async def _genesis_document(self) -> bytes:
        """The genesis file as nodes print it, without what its author put between the words."""
        if self._genesis is None:
            raw = self._engine.genesis.raw
            self._genesis = await self._workshop.made("genesis", len(raw), lambda: _genesis_document(raw))
        return self._genesis

    async def genesis_chunked(self, arguments: Arguments) -> dict[str, Any]:
        raw = await self._genesis_document()
        total = -(-len(raw) // GENESIS_CHUNK_BYTES)
        chunk = arguments.get("chunk", 0)
        if not 0 <= chunk < total:
            raise internal(f"there are {total - 1} chunks, {chunk} is invalid")
        data = raw[chunk * GENESIS_CHUNK_BYTES : (chunk + 1) * GENESIS_CHUNK_BYTES]
        return {"chunk": str(chunk), "total": str(total), "data": comet_json.bytes_to_base64(data)}

    async def consensus_params(self, arguments: Arguments) -> dict[str, Any]:
        height = self._height(arguments, self._engine.tip.height + 1)
        kinds = sorted({member.public_key.kind.value for member in self._engine.genesis.validators.validators})
        return {"block_height": str(height), "consensus_params": consensus_params(kinds) | _AUTHORITY}

    # --- blocks ---

    def _height(self, arguments: Arguments, highest: int) -> int:
        """The height that is asked for, `highest` if none is. Raise `RpcError` for one that is not there."""
        height: int = arguments.get("height", highest)
        if "height" in arguments and height <= 0:
            raise internal(f"height must be greater than 0, but got {height}")
        if height > highest:
            raise internal(f"height {height} must be less than or equal to the current blockchain height {highest}")
        if height < self._engine.store.first:
            raise internal(f"height {height} is not available, lowest height is {self._engine.store.first}")
        return height

    async def _block(self, arguments: Arguments) -> StoredBlock:
        height = self._height(arguments, self._engine.tip.height)
        stored = await self._engine.store.block(height)
        if stored is None:
            raise internal(f"height {height} is not available, lowest height is {self._engine.store.first}")
        return stored

    async def _head(self, arguments: Arguments) -> BlockHead:
        height = self._height(arguments, self._engine.tip.height)
        head = await self._engine.store.head(height)
        if head is None:
            raise internal(f"height {height} is not available, lowest height is {self._engine.store.first}")
        return head

    async def _by_hash(self, arguments: Arguments) -> StoredBlock | None:
        return await self._engine.find_block(arguments.get("hash", b""))

    async def block(self, arguments: Arguments) -> Any:
        return msgspec.Raw((await self._block(arguments)).block)

    async def block_by_hash(self, arguments: Arguments) -> Any:
        stored = await self._by_hash(arguments)
        nothing = {"block_id": comet_json.block_id_to_json(NIL_BLOCK_ID), "block": None}
        return nothing if stored is None else msgspec.Raw(stored.block)

    async def block_results(self, arguments: Arguments) -> Any:
        stored = await self._block(arguments)
        raw = await self._workshop.made(("results", stored.height), len(stored.results), lambda: results_json(stored))
        results: dict[str, Any] = dict(_members(raw))
        # Go prints a list that nobody filled as null.
        return results | {name: None for name in _EMPTY_LISTS if bytes(results[name]) == b"[]"}

    async def header(self, arguments: Arguments) -> dict[str, Any]:
        return {"header": _header_of(await self._head(arguments))}

    async def header_by_hash(self, arguments: Arguments) -> dict[str, Any]:
        height = await self._engine.store.height_of(arguments.get("hash", b""))
        known = height is not None and height <= self._engine.tip.height
        head = await self._engine.store.head(height) if known and height is not None else None
        return {"header": None if head is None else _header_of(head)}

    async def blockchain(self, arguments: Arguments) -> dict[str, Any]:
        if min(arguments.get("minHeight", 0), arguments.get("maxHeight", 0)) < 0:
            raise internal("heights must be non-negative")
        newest = self._engine.tip.height
        last = min(arguments.get("maxHeight") or newest, newest)
        first = max(arguments.get("minHeight") or 1, last - MAX_HEADERS + 1, self._engine.store.first, 1)
        if first > last:
            raise internal(f"min height {first} can't be greater than max height {last}")
        stored = await self._engine.store.heads(first, last)
        return {"last_height": str(newest), "block_metas": [_block_meta(block) for block in stored]}

    async def block_search(self, arguments: Arguments) -> dict[str, Any]:
        """Return the newest block first, unless asked otherwise."""
        query = parse_query(arguments.get("query", ""))
        heights = ordered(arguments, await find_blocks(self._engine, self._workshop, query), default="desc")
        blocks: list[msgspec.Raw] = []
        size = 0
        for height in page_of(arguments, heights):
            block = (await self._block({"height": height})).block
            size += len(block)
            if blocks and size > MAX_FOUND_BYTES:
                raise internal(f"the blocks of this page have more than {MAX_FOUND_BYTES} bytes: lower per_page")
            blocks.append(msgspec.Raw(block))
        return {"blocks": blocks, "total_count": str(len(heights))}

    async def commit(self, arguments: Arguments) -> dict[str, Any]:
        head = await self._head(arguments)
        signed = {"header": _header_of(head), "commit": msgspec.Raw(head.commit)}
        return {"signed_header": signed, "canonical": head.height < self._engine.tip.height}

    async def validators(self, arguments: Arguments) -> dict[str, Any]:
        height = self._height(arguments, self._engine.tip.height + 1)
        found = await self._engine.validators(height)
        if found is None:
            raise internal(f"could not find validator set for height #{height}")
        members = comet_json.validator_set_to_json(found)
        page = page_of(arguments, members)
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


def _genesis_document(raw: bytes) -> bytes:
    document = msgspec.json.decode(raw)
    return encode(document | {"consensus_params": dict(document["consensus_params"]) | _AUTHORITY})


def _header_of(head: BlockHead) -> Any:
    return head.document["block"]["header"]


def _block_meta(head: BlockHead) -> dict[str, Any]:
    return {
        "block_id": head.document["block_id"],
        "block_size": str(head.size),
        "header": _header_of(head),
        "num_txs": str(head.entries),
    }


def _query_response(answer: QueryAnswer) -> dict[str, Any]:
    key = comet_json.bytes_to_base64(answer.key) if answer.key else None
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
