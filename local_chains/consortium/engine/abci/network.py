"""The homes of a network of CometBFT nodes: one per organisation, each complete in itself, to be moved to its machine.

<directory>/validators/<n>/                            node n's home, `cometbft start --home`
<directory>/validators/<n>/config/config.toml
<directory>/validators/<n>/config/genesis.json         the same bytes in every home
<directory>/validators/<n>/config/node_key.json        the key that peers know the node by, mode 0600
<directory>/validators/<n>/priv_validator_key.json     consensus key, mode 0600
<directory>/validators/<n>/operator_key.json           the operator's ed25519 account, mode 0600
<directory>/validators/<n>/data/                       CometBFT's databases, and the ledger's

There is no genesis file next to `validators`, so that the embedded engine does not take the directory for a chain of
its own and sign other blocks with the same keys.
"""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from core.model.consortium import MAX_TRANSACTION_BYTES
from core.model.errors import RejectedError
from core.proofs.cometbft.types import KeyKind
from core.runtime.files import make_directory, replace_file
from local_chains.consortium.engine.abci.settings import CONFIG_FILE
from local_chains.consortium.engine.home import (
    CONSENSUS_KEY_FILE,
    GENESIS_FILE,
    Genesis,
    ValidatorKey,
    consensus_key_document,
    init_home,
    load_consensus_key,
    write_secret,
)
from local_chains.consortium.ledger.genesis import GenesisAccount, GenesisAsset, GenesisMember

NODE_KEY_FILE: Final = "config/node_key.json"
LOOPBACK: Final = "127.0.0.1"
FIRST_PORT: Final = 26_656
"""As CometBFT's own: node n listens for peers at `FIRST_PORT + 10 n`, and its RPC is one above."""
PORT_STEP: Final = 10
BLOCK_TIME_MS: Final = 200
"""`timeout_commit`: what lies between two blocks next to the vote."""
SNAPSHOT_INTERVAL: Final = 4_000
MEMPOOL_TRANSACTIONS: Final = 20_000
MEMPOOL_BYTES: Final = 16 * 1024 * 1024
"""More than CheckTx lets wait (`engine.lanes`), so that the node itself never refuses an exit for want of room."""

_CONFIG: Final = """\
# A node of a Causeway consortium chain; the names are explained in CometBFT's documentation of config.toml.
moniker = {moniker}
# The ledger's socket is named on the command line.
proxy_app = "unix://ledger.sock"
abci = "socket"
db_backend = "goleveldb"
log_level = "main:info,state:info,*:error"
genesis_file = "config/{genesis}"
priv_validator_key_file = "{consensus_key}"
priv_validator_state_file = "data/priv_validator_state.json"
node_key_file = "{node_key}"

[rpc]
laddr = "tcp://{loopback}:{rpc_port}"
{cors}max_open_connections = 900
max_subscription_clients = 200
max_subscriptions_per_client = 20
timeout_broadcast_tx_commit = "10s"
max_body_bytes = 1000000

[p2p]
laddr = "tcp://{listen}:{peer_port}"
external_address = "{host}:{peer_port}"
persistent_peers = "{peers}"
pex = false
addr_book_strict = false
allow_duplicate_ip = true
flush_throttle_timeout = "10ms"

[mempool]
type = "flood"
recheck = true
broadcast = true
size = {mempool_transactions}
cache_size = {mempool_cache}
max_txs_bytes = {mempool_bytes}
max_tx_bytes = {transaction_bytes}

[consensus]
timeout_propose = "2s"
timeout_propose_delta = "500ms"
timeout_prevote = "500ms"
timeout_prevote_delta = "250ms"
timeout_precommit = "500ms"
timeout_precommit_delta = "250ms"
timeout_commit = "{block_time_ms}ms"
skip_timeout_commit = false
peer_gossip_sleep_duration = "10ms"
create_empty_blocks = true

[tx_index]
indexer = "kv"

[statesync]
# To start from a snapshot: enable, two nodes' RPC as "http://host:port,http://host:port", and a block that is trusted.
enable = false
rpc_servers = ""
discovery_time = "5s"
trust_height = 0
trust_hash = ""
trust_period = "168h0m0s"

[instrumentation]
prometheus = false

[causeway]
# The ledger's own. Heights between snapshots for nodes that start later, 0: none; newest blocks that are kept, 0: all.
snapshot_interval = {snapshot_interval}
keep_blocks = 0
"""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """The address at which peers reach a node; its RPC listens on its own machine only."""

    host: str = LOOPBACK
    peer_port: int = FIRST_PORT
    rpc_port: int = FIRST_PORT + 1


def local_addresses(count: int, first_port: int = FIRST_PORT) -> tuple[NodeAddress, ...]:
    """`count` nodes on this machine."""
    return tuple(
        NodeAddress(LOOPBACK, port, port + 1) for port in range(first_port, first_port + PORT_STEP * count, PORT_STEP)
    )


def init_network(
    directory: Path,
    chain_id: str,
    validators: int = 4,
    key_type: KeyKind = KeyKind.SECP256K1_ETH,
    assets: Sequence[GenesisAsset] = (),
    accounts: Sequence[GenesisAccount] = (),
    addresses: Sequence[NodeAddress] | None = None,
    block_time_ms: int = BLOCK_TIME_MS,
    time_ns: int | None = None,
    others: Sequence[GenesisMember] = (),
    cors_origins: Sequence[str] = (),
) -> Genesis:
    """Make the homes of a new network with fresh keys; on this machine unless `addresses` says otherwise.

    `others` are organisations without a validator, `cors_origins` the pages that may ask the nodes. A block comes about
    `block_time_ms` after the one before, plus the time the vote takes. Raise `RejectedError` if there is a network or
    chain already, or if the chain could not start.
    """
    places = local_addresses(validators) if addresses is None else tuple(addresses)
    if len(places) != validators:
        raise RejectedError(f"{validators} validators have {validators} addresses, not {len(places)}")
    if not 0 < block_time_ms <= 60_000:
        raise RejectedError("blocks are 1 ms to 60 s apart")
    genesis = init_home(directory, chain_id, validators, key_type, assets, accounts, time_ns, others)
    raw = (directory / GENESIS_FILE).read_bytes()
    node_keys = [ValidatorKey(KeyKind.ED25519, secrets.token_bytes(32)) for _ in places]
    peers = [
        f"{key.public_key.address.hex()}@{place.host}:{place.peer_port}"
        for key, place in zip(node_keys, places, strict=True)
    ]
    for index, (key, place) in enumerate(zip(node_keys, places, strict=True)):
        other_peers = ",".join(peers[:index] + peers[index + 1 :])
        home = node_home(directory, index)
        write_node(home, node_config(f"{chain_id}-{index}", place, other_peers, block_time_ms, cors_origins), key)
        replace_file(home / "config" / GENESIS_FILE, raw, 0o644)
    (directory / GENESIS_FILE).unlink()
    return genesis


def node_home(directory: Path, index: int) -> Path:
    return directory / "validators" / str(index)


def find_node_homes(directory: Path) -> list[Path]:
    """This directory if it is one node's home, else the homes in it in the order of the genesis file, maybe none."""
    if (directory / CONFIG_FILE).is_file():
        return [directory]
    found = sorted((directory / "validators").glob(f"*/{CONFIG_FILE}"), key=lambda path: int(path.parts[-3]))
    return [path.parent.parent for path in found]


def node_homes(directory: Path) -> list[Path]:
    """`find_node_homes`. Raise `RejectedError` for none."""
    found = find_node_homes(directory)
    if not found:
        raise RejectedError(f"{directory} holds no CometBFT network: make one by `causeway chain init-network`")
    return found


def load_node_key(home: Path) -> ValidatorKey:
    """The key of the node in `home`; its public key's address is the node's id. Raise `FatalError`."""
    return load_consensus_key(home / NODE_KEY_FILE)


def write_node(home: Path, config: str, key: ValidatorKey) -> None:
    """Make what a CometBFT node's home has next to consensus key and genesis file; `home` is there already."""
    make_directory(home / "config")
    make_directory(home / "data")
    replace_file(home / CONFIG_FILE, config.encode(), 0o644)
    # Nothing was signed yet; CometBFT wants to read that.
    replace_file(home / "data" / "priv_validator_state.json", b'{"height":"0","round":0,"step":0}')
    # CometBFT reads the private key alone; the rest lets us read it too.
    write_secret(home / NODE_KEY_FILE, consensus_key_document(key))


def node_config(
    moniker: str,
    place: NodeAddress,
    peers: str = "",
    block_time_ms: int = BLOCK_TIME_MS,
    cors_origins: Sequence[str] = (),
) -> str:
    """Return the `config.toml` of a node at `place`; `peers` are `ID@HOST:PORT`, joined by commas."""
    return _CONFIG.format(
        # A JSON string is a TOML string.
        moniker=json.dumps(moniker),
        genesis=GENESIS_FILE,
        consensus_key=CONSENSUS_KEY_FILE,
        node_key=NODE_KEY_FILE,
        loopback=LOOPBACK,
        listen=LOOPBACK if place.host == LOOPBACK else "0.0.0.0",
        host=place.host,
        peer_port=place.peer_port,
        rpc_port=place.rpc_port,
        cors=f"cors_allowed_origins = {json.dumps(list(cors_origins))}\n" if cors_origins else "",
        peers=peers,
        mempool_transactions=MEMPOOL_TRANSACTIONS,
        mempool_cache=2 * MEMPOOL_TRANSACTIONS,
        mempool_bytes=MEMPOOL_BYTES,
        transaction_bytes=MAX_TRANSACTION_BYTES,
        block_time_ms=block_time_ms,
        snapshot_interval=SNAPSHOT_INTERVAL,
    )
