"""One organisation's home: a CometBFT node's (`engine.abci.network`), with a key for each duty and the application.

<home>/priv_validator_key.json    signs blocks; the node alone uses it
<home>/operator_key.json          the organisation's account: pays, proposes, votes, admits
<home>/attestor_key.json          attests foreign headers; a relayer uses it
<home>/config/node_key.json       peers know the node by it
<home>/application.json           what others get
<home>/config/genesis.json        once the founders have agreed, or the chain that is joined
"""

import json
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.model.errors import FatalError, RejectedError
from core.proofs.cometbft.signing import sign
from core.proofs.cometbft.types import KeyKind
from core.runtime.files import make_directory, read_small, replace_file
from local_chains.consortium.engine.abci.network import FIRST_PORT, NODE_KEY_FILE, NodeAddress, node_config, write_node
from local_chains.consortium.engine.abci.settings import CONFIG_FILE
from local_chains.consortium.engine.home import (
    CONSENSUS_KEY_FILE,
    GENESIS_FILE,
    MAX_GENESIS_BYTES,
    OPERATOR_KEY_FILE,
    Genesis,
    OperatorKey,
    ValidatorKey,
    consensus_key_document,
    load_consensus_key,
    load_operator_key,
    new_consensus_key,
    parse_genesis,
    write_account_key,
    write_secret,
)
from local_chains.consortium.founding.application import (
    ACCOUNT,
    ATTESTOR,
    CONSENSUS,
    NODE,
    AskedAsset,
    Terms,
    encode_application,
    keys_of,
    load_application,
    parse_application,
    require_place,
    require_terms,
    signed_bytes,
)

ATTESTOR_KEY_FILE: Final = "attestor_key.json"
APPLICATION_FILE: Final = "application.json"
GENESIS_PATH: Final = f"config/{GENESIS_FILE}"
MAX_CONFIG_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Wanted:
    """An organisation's wishes, which it applies with next to its keys.

    `node` is `HOST:PORT`; its RPC listens on `rpc_port` of its own machine.
    """

    chain_id: str
    name: str
    node: str
    made_ms: int
    power: int = 10
    roles: tuple[str, ...] = ()
    assets: tuple[AskedAsset, ...] = ()
    key_kind: KeyKind = KeyKind.SECP256K1_ETH
    rpc_port: int = FIRST_PORT + 1


@dataclass(frozen=True, slots=True)
class _Keys:
    consensus: ValidatorKey = field(repr=False)
    account: OperatorKey = field(repr=False)
    attestor: OperatorKey = field(repr=False)
    node: ValidatorKey = field(repr=False)

    def signatures(self, terms: Terms) -> dict[str, bytes]:
        message = signed_bytes(terms)
        return {
            ACCOUNT: sign(KeyKind.ED25519, self.account.seed, message),
            ATTESTOR: sign(KeyKind.ED25519, self.attestor.seed, message),
            CONSENSUS: sign(self.consensus.kind, self.consensus.secret, message),
            NODE: sign(KeyKind.ED25519, self.node.secret, message),
        }


def make_organisation(home: Path, wanted: Wanted) -> Terms:
    """Make the home of one organisation with fresh keys, and its signed application.

    Raise `RejectedError` if there is something in `home` already, or for terms that no chain takes.
    """
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise RejectedError(f"{home} is in use: name a new directory, the keys in it are made once")
    keys = _Keys(
        new_consensus_key(wanted.key_kind),
        OperatorKey(secrets.token_bytes(32)),
        OperatorKey(secrets.token_bytes(32)),
        ValidatorKey(KeyKind.ED25519, secrets.token_bytes(32)),
    )
    terms = _terms(wanted, keys)
    # What others would refuse is refused before anything is written.
    require_terms(terms)
    application = encode_application(terms, keys.signatures(terms))
    parse_application(application)
    make_directory(home, 0o700)
    write_secret(home / CONSENSUS_KEY_FILE, consensus_key_document(keys.consensus))
    write_account_key(home / OPERATOR_KEY_FILE, keys.account)
    write_account_key(home / ATTESTOR_KEY_FILE, keys.attestor)
    host, port = require_place(wanted.node)
    write_node(
        home, node_config(f"{wanted.chain_id}-{wanted.name}", NodeAddress(host, port, wanted.rpc_port)), keys.node
    )
    replace_file(home / APPLICATION_FILE, application, 0o644)
    return terms


def _terms(wanted: Wanted, keys: _Keys) -> Terms:
    consensus = keys.consensus.public_key
    return Terms(
        wanted.chain_id,
        wanted.made_ms,
        wanted.name,
        wanted.roles,
        wanted.power,
        keys.account.public_key.hex(),
        keys.attestor.public_key.hex(),
        consensus.kind.value,
        consensus.data.hex(),
        keys.node.public_key.data.hex(),
        wanted.node,
        wanted.assets,
    )


def load_own_terms(home: Path) -> Terms:
    """The organisation's own application. Raise `RejectedError` if `home` has none, `FatalError` if its keys are not
    those that it applied with."""
    if not (home / APPLICATION_FILE).exists():
        raise RejectedError(f"{home} is not an organisation's home: `causeway chain init {home} …` makes one")
    terms = load_application(home / APPLICATION_FILE)
    mine = {
        ACCOUNT: load_operator_key(home / OPERATOR_KEY_FILE).public_key,
        ATTESTOR: load_operator_key(home / ATTESTOR_KEY_FILE).public_key,
        CONSENSUS: load_consensus_key(home / CONSENSUS_KEY_FILE).public_key.data,
        NODE: load_consensus_key(home / NODE_KEY_FILE).public_key.data,
    }
    for duty, key in keys_of(terms).items():
        if mine[duty] != key.data:
            raise FatalError(f"the {duty} key in {home} is not the one that it applied with: restore it from a backup")
    return terms


def read_genesis(path: Path, agreed: str | None) -> Genesis:
    """The genesis file at `path`. Raise as `require_agreed`, `FatalError` if it cannot be read."""
    genesis = parse_genesis(read_small(path, MAX_GENESIS_BYTES, "the genesis file"))
    require_agreed(genesis, agreed)
    return genesis


def require_agreed(genesis: Genesis, agreed: str | None) -> None:
    """Raise `RejectedError` if the hash is not the one agreed on; None agrees to any."""
    if agreed is not None and agreed.strip().lower() != genesis.hash.hex():
        raise RejectedError(
            f"the genesis file's hash is {genesis.hash.hex()}, agreed was {agreed[:100]}: it was made from other "
            "applications, or changed on its way. Compare with the others which files they have"
        )


def place_genesis(home: Path, genesis: Genesis) -> None:
    """Make `genesis` the home's; again is harmless. Raise `RejectedError` if it has another one."""
    path = home / GENESIS_PATH
    if path.exists() and read_small(path, MAX_GENESIS_BYTES, "the genesis file") != genesis.raw:
        raise RejectedError(f"{path} is another chain's, or from other applications: remove it if it never ran")
    replace_file(path, genesis.raw, 0o644)


def set_config(home: Path, values: Mapping[tuple[str, str], str | bool | int]) -> None:
    """Change values in the node's `config.toml`, by (table, name); everything else in it stays.

    Raise `RejectedError` if one is not there exactly once on a line of its own.
    """
    path = home / CONFIG_FILE
    lines = read_small(path, MAX_CONFIG_BYTES, "the node's configuration").decode(errors="replace").splitlines()
    places: dict[tuple[str, str], list[int]] = {name: [] for name in values}
    table = ""
    for index, line in enumerate(lines):
        stripped = line.strip()
        if stripped.startswith("[") and stripped.endswith("]"):
            table = stripped.strip("[]")
        name = (table, stripped.partition("=")[0].strip())
        if name in places:
            places[name].append(index)
    for name, value in values.items():
        if len(places[name]) != 1:
            raise RejectedError(f"{path} has no line {name[1]} = … in [{name[0]}]: set it to {value!r} by hand")
        # A JSON string is a TOML string.
        lines[places[name][0]] = f"{name[1]} = {json.dumps(value)}"
    text = "\n".join(lines) + "\n"
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RejectedError(f"{path} is not TOML: {error}") from None
    if any(parsed[table][name] != value for (table, name), value in values.items()):
        raise RejectedError(f"{path} cannot be changed: set {', '.join(name for _, name in values)} by hand")
    replace_file(path, text.encode(), 0o644)
