"""`causeway chain init|collect|join`: an organisation's home, a new chain's genesis file, a further node of a chain.

Each says what is to be sent to whom next. Nothing here sends a file, and no key leaves the home that it was made in.
"""

import re
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from adapters.consortium.members import read_members
from adapters.consortium.rpc import CometRpc, bytes_of, parsed
from adapters.consortium.state import query
from core.model.consortium import attestor_key, caip_account, caip_chain
from core.model.consortium_members import MAX_ORGANISATIONS
from core.model.errors import RejectedError, RetryableError
from core.proofs.cometbft.json import bytes_from_hex, integer_from_json, list_from_json, object_from_json
from core.runtime.files import read_small, replace_file
from local_chains.consortium.engine.abci.settings import CONFIG_FILE
from local_chains.consortium.engine.home import OPERATOR_KEY_FILE, Genesis
from local_chains.consortium.founding.application import (
    AskedAsset,
    Terms,
    load_application,
    require_place,
)
from local_chains.consortium.founding.collecting import Founding, found
from local_chains.consortium.founding.organisation import (
    APPLICATION_FILE,
    MAX_CONFIG_BYTES,
    Wanted,
    load_own_terms,
    make_organisation,
    place_genesis,
    read_genesis,
    require_agreed,
    set_config,
)

SNAPSHOTS: Final = "/snapshots"
MIN_SERVERS: Final = 2
"""CometBFT's light client asks one and checks with the others."""
MAX_SERVERS: Final = 8
MAX_PEERS: Final = 200
MAX_OFFERED: Final = 100
NS_PER_MS: Final = 1_000_000
_URL: Final = re.compile(r"https?://[-A-Za-z0-9._~:/@\[\]%]{1,300}")
_TRUST: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-fA-F]{64})")


def now_ms() -> int:
    return time.time_ns() // NS_PER_MS


# --- founding ----------------------------------------------------------------------------------------------------


def collect(home: Path | None, files: Sequence[Path], agreed: str | None, output: Path | None) -> dict[str, Any]:
    """The genesis file of the applications in `files`, with that of `home`, into `home` and `output` if there are such.

    Raise `RejectedError` for applications that cannot be on one chain, and if the genesis hash is not `agreed`.
    """
    if len(files) > MAX_ORGANISATIONS:
        raise RejectedError(f"a chain has at most {MAX_ORGANISATIONS} organisations, these are {len(files)} files")
    applications = [load_application(path) for path in files]
    mine = None if home is None else load_own_terms(home)
    if mine is not None and mine not in applications:
        # A file that is somebody else's under our name is found out below.
        applications.append(mine)
    founding = found(applications, now_ms())
    require_agreed(founding.genesis, agreed)
    if home is not None and mine is not None:
        place_genesis(home, founding.genesis)
        set_config(home, {("p2p", "persistent_peers"): founding.peers_of(mine.name)})
    if output is not None:
        replace_file(output, founding.genesis.raw, 0o644)
    return _founding_to_json(founding)


def _founding_to_json(founding: Founding) -> dict[str, Any]:
    return {
        "chain": caip_chain(founding.genesis.chain_id),
        "genesis_hash": founding.genesis.hash.hex(),
        "organisations": [terms_to_json(one) for one in founding.founders],
        "indispensable": list(founding.indispensable),
    }


def terms_to_json(terms: Terms) -> dict[str, Any]:
    chain = caip_chain(terms.chain_id)
    return {
        "name": terms.name,
        "roles": [*terms.roles, *(["validator"] if terms.power else [])],
        "power": terms.power,
        "account": caip_account(chain, terms.account_address),
        "attestor": caip_account(chain, terms.attestor_address),
        "consensus_key": f"{terms.key_kind}:{terms.key}",
        "node": terms.peer,
        "assets": [{"symbol": one.symbol, "decimals": one.decimals} for one in terms.assets],
    }


# --- joining -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Invitation:
    """A newcomer's gifts from members: the genesis file with its hash, RPCs of two or more of their nodes, and the
    height and hash of a block (`HEIGHT:HASH`, None: not yet)."""

    genesis: Path
    genesis_hash: str
    servers: tuple[str, ...]
    trust: str | None = None


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A newcomer's wishes; see `Wanted`."""

    name: str
    node: str
    power: int
    roles: tuple[str, ...]
    rpc_port: int


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    peer: str
    height: int
    earliest: int
    snapshots: tuple[int, ...]
    others: tuple[str, ...]


async def prepare(home: Path, invitation: Invitation, newcomer: Newcomer) -> dict[str, Any]:
    """Make the home of a node that joins a running chain, or complete it; again is harmless.

    Raise `RejectedError` for a genesis file that is not the agreed one, nodes of another chain, and a block that they
    do not agree on or that was not named yet; `RetryableError` while a node does not answer.
    """
    genesis = read_genesis(invitation.genesis, invitation.genesis_hash)
    servers = [await _ask(url, genesis) for url in _servers(invitation.servers)]
    terms = _own(home, genesis, newcomer)
    place_genesis(home, genesis)
    peers = {one.peer for one in servers} | {peer for one in servers for peer in one.others}
    set_config(home, {("p2p", "persistent_peers"): ",".join(sorted(peers - {terms.peer}))})
    snapshot = max((height for one in servers for height in one.snapshots), default=0)
    if snapshot:
        await _begin_from_snapshot(home, [one.url for one in servers], snapshot, invitation.trust)
    elif all(one.earliest > 1 for one in servers):
        raise RejectedError(
            "these nodes offer no snapshot and have forgotten the first blocks: name others by --server"
        )
    else:
        set_config(home, {("statesync", "enable"): False})
    return {"organisation": terms_to_json(terms), "snapshot": snapshot, "peers": len(peers - {terms.peer})}


def _own(home: Path, genesis: Genesis, newcomer: Newcomer) -> Terms:
    if (home / APPLICATION_FILE).exists():
        terms = load_own_terms(home)
        if terms.chain_id != genesis.chain_id or terms.name != newcomer.name:
            raise RejectedError(f"{home} is {terms.name}'s on {terms.chain_id}: name another directory")
        return terms
    # A chain's validators all have keys of one kind.
    kind = genesis.validators.validators[0].public_key.kind
    made = Wanted(
        genesis.chain_id,
        newcomer.name,
        newcomer.node,
        now_ms(),
        newcomer.power,
        newcomer.roles,
        key_kind=kind,
        rpc_port=newcomer.rpc_port,
    )
    return make_organisation(home, made)


def _servers(urls: Sequence[str]) -> list[str]:
    found = sorted({url.rstrip("/") for url in urls})
    if not MIN_SERVERS <= len(found) <= MAX_SERVERS:
        raise RejectedError(
            f"name --server for the RPC of each of {MIN_SERVERS} to {MAX_SERVERS} nodes, best of different members"
        )
    for url in found:
        if not _URL.fullmatch(url):
            raise RejectedError(f"{url[:80]!r} is not a node's RPC: write http://HOST:PORT")
    return found


async def _ask(url: str, genesis: Genesis) -> _Server:
    rpc = CometRpc(url)
    try:
        status = await rpc.call("status")
        network, peer = parsed(lambda: _node_of(status.get("node_info")))
        if network != genesis.chain_id:
            raise RejectedError(f"{url} is a node of {network[:50]!r}, the genesis file is {genesis.chain_id}'s")
        if peer is None:
            raise RejectedError(f"{url} does not say where its peers reach it: set external_address in its config.toml")
        sync = parsed(lambda: object_from_json(status.get("sync_info")))
        heights = parsed(
            lambda: [integer_from_json(sync.get(f"{which}_block_height")) for which in ("latest", "earliest")]
        )
        known = await rpc.call("net_info")
        others = parsed(
            lambda: [
                _node_of(object_from_json(one).get("node_info"))[1]
                for one in list_from_json(known.get("peers") or [], MAX_PEERS)
            ]
        )
        return _Server(url, peer, heights[0], heights[1], await _snapshots(rpc), tuple(one for one in others if one))
    finally:
        await rpc.close()


def _node_of(value: Any) -> tuple[str, str | None]:
    """(network, `ID@HOST:PORT`) of a node's description of itself; None for an address that says nothing."""
    info = object_from_json(value)
    node_id = bytes_from_hex(info.get("id"), 20).hex()
    place = str(info.get("listen_addr")).removeprefix("tcp://")
    try:
        host, _ = require_place(place)
    except RejectedError:
        host = ""
    named = len(node_id) == 40 and host not in ("", "0.0.0.0")
    return str(info.get("network")), f"{node_id}@{place}" if named else None


async def _snapshots(rpc: CometRpc) -> tuple[int, ...]:
    answer = await rpc.call("abci_query", path=SNAPSHOTS, data="", height="0", prove=False)
    response = parsed(lambda: object_from_json(answer.get("response")))
    if response.get("code"):
        return ()
    heights = parsed(lambda: msgspec.json.decode(bytes_of(response.get("value")), type=list[int]))
    return tuple(height for height in heights[:MAX_OFFERED] if 0 < height < 2**62)


async def _begin_from_snapshot(home: Path, urls: Sequence[str], height: int, trust: str | None) -> None:
    """Let the node start from a snapshot that its light client follows from a block which somebody has vouched for."""
    if trust is None:
        shown = await _agreed_hash(urls, height)
        raise RejectedError(
            f"these nodes show block {height} with hash {shown}. Ask a member by telephone or in person if that is "
            f"theirs (/commit?height={height} of their own node), then run this again with --trust {height}:{shown}"
        )
    match = _TRUST.fullmatch(trust)
    if match is None:
        raise RejectedError(f"--trust {trust[:80]!r} is not HEIGHT:HASH, the hash of 64 hex digits")
    shown = await _agreed_hash(urls, int(match[1]))
    if shown != match[2].upper():
        raise RejectedError(f"these nodes show block {match[1]} with hash {shown}, not {match[2]}: one side is wrong")
    set_config(
        home,
        {
            ("statesync", "enable"): True,
            ("statesync", "rpc_servers"): ",".join(urls),
            ("statesync", "trust_height"): int(match[1]),
            ("statesync", "trust_hash"): shown,
        },
    )


async def _agreed_hash(urls: Sequence[str], height: int) -> str:
    """The hash of a block, in upper case. Raise `RejectedError` if two nodes show different ones."""
    shown: dict[str, str] = {}
    for url in urls:
        rpc = CometRpc(url)
        try:
            answer = await rpc.call("commit", height=str(height))
        finally:
            await rpc.close()
        shown.setdefault(_block_hash(answer), url)
    if len(shown) > 1:
        first, second = list(shown.items())[:2]
        raise RejectedError(
            f"{first[1]} shows block {height} with hash {first[0]}, {second[1]} with {second[0]}: one of them is on "
            "another chain or lies. Ask the members"
        )
    return next(iter(shown))


def _block_hash(answer: Mapping[str, Any]) -> str:
    def read() -> str:
        commit = object_from_json(object_from_json(answer.get("signed_header")).get("commit"))
        return bytes_from_hex(object_from_json(commit.get("block_id")).get("hash"), 32).hex().upper()

    return parsed(read)


# --- what is next ------------------------------------------------------------------------------------------------


async def progress(home: Path) -> dict[str, Any]:
    """How far a newcomer is, by its own node: `stopped`, `syncing`, `synced`, `proposed`, `member` or `complete`.

    Raise `RejectedError` if `home` is not an organisation's.
    """
    terms = load_own_terms(home)
    url = _own_rpc(home)
    head = {"organisation": terms_to_json(terms), "rpc": url, "key": str(home / OPERATOR_KEY_FILE)}
    rpc = CometRpc(url)
    try:
        status = await rpc.call("status")
        sync = parsed(lambda: object_from_json(status.get("sync_info")))
        height = parsed(lambda: integer_from_json(sync.get("latest_block_height")))
        if sync.get("catching_up") is not False or not height:
            return {**head, "stage": "syncing", "height": height}
        view = await read_members(rpc)
        mine = next((one for one in view.organisations if one.name == terms.name and one.roles), None)
        if mine is None:
            about = [one for one in view.proposals if one.leaf.organisation.name == terms.name and one.status == "open"]
            stage = {"stage": "proposed", "proposals": [one.number for one in about]} if about else {"stage": "synced"}
            return {**head, "height": view.height, **stage}
        appointed = (await query(rpc, attestor_key(terms.account_address), view.height)).value
        complete = not mine.power or appointed == terms.attestor_address
        return {**head, "height": view.height, "power": mine.power, "stage": "complete" if complete else "member"}
    except RetryableError as error:
        return {**head, "stage": "stopped", "reason": error.message}
    finally:
        await rpc.close()


def _own_rpc(home: Path) -> str:
    path = home / CONFIG_FILE
    try:
        laddr = tomllib.loads(read_small(path, MAX_CONFIG_BYTES, "the node's configuration").decode())["rpc"]["laddr"]
        return "http://" + str(laddr).removeprefix("tcp://").replace("0.0.0.0", "127.0.0.1")
    except (tomllib.TOMLDecodeError, KeyError, TypeError, UnicodeError):
        raise RejectedError(f"{path} does not say where the node's RPC listens: set [rpc] laddr") from None


def parse_assets(texts: Sequence[str]) -> tuple[AskedAsset, ...]:
    """The assets `SYMBOL:DECIMALS` that an issuer brings. Raise `RejectedError`."""
    assets = []
    for text in texts:
        symbol, _, decimals = text.partition(":")
        if not (decimals.isascii() and decimals.isdecimal() and len(decimals) < 4):
            raise RejectedError(f"--asset {text[:80]!r} is not SYMBOL:DECIMALS, such as cnyd:2")
        assets.append(AskedAsset(symbol, int(decimals)))
    return tuple(assets)
