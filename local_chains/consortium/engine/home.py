"""A chain's home on disk: the genesis file in CometBFT's format, and the keys of its validators and their operators.

<home>/genesis.json
<home>/validators/<n>/priv_validator_key.json     consensus key, CometBFT's format, mode 0600
<home>/validators/<n>/operator_key.json           the operator's ed25519 account, mode 0600
<home>/data/chain.sqlite                          blocks and state
"""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
from coincurve import PrivateKey

from core.model.consortium import address
from core.model.errors import FatalError, RejectedError
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.signing import public_key_of
from core.proofs.cometbft.types import (
    KeyKind,
    PublicKey,
    Timestamp,
    Validator,
    ValidatorSet,
)
from core.runtime.files import make_directory, read_small, replace_file, sync_directory
from local_chains.consortium.ledger.genesis import (
    AppState,
    GenesisAccount,
    GenesisAsset,
    GenesisMember,
    GenesisOperator,
    app_state_from_json,
    genesis_writes,
    validators_of,
)

GENESIS_FILE: Final = "genesis.json"
DATABASE_FILE: Final = "data/chain.sqlite"
CONSENSUS_KEY_FILE: Final = "priv_validator_key.json"
OPERATOR_KEY_FILE: Final = "operator_key.json"
DEFAULT_POWER: Final = 10
MAX_LOCAL_VALIDATORS: Final = 100
MAX_BLOCK_BYTES: Final = 4 * 1024 * 1024
MAX_GENESIS_BYTES: Final = 64 * 1024 * 1024
MAX_KEY_FILE_BYTES: Final = 16 * 1024
UNLIMITED_GAS: Final = -1
_CHAIN_ID: Final = re.compile(r"[-_a-zA-Z0-9]{1,32}")
PRIVATE_KEY_TYPES: Final = {
    KeyKind.ED25519: "tendermint/PrivKeyEd25519",
    KeyKind.SECP256K1_ETH: "tendermint/PrivKeySecp256k1eth",
}


@dataclass(frozen=True, slots=True)
class ValidatorKey:
    """A consensus key. `secret` is 32 bytes (for ed25519 the seed)."""

    kind: KeyKind
    secret: bytes = field(repr=False)

    @property
    def public_key(self) -> PublicKey:
        return public_key_of(self.kind, self.secret)


@dataclass(frozen=True, slots=True)
class OperatorKey:
    """A validator operator's account. `seed` is the 32-byte ed25519 seed."""

    seed: bytes = field(repr=False)

    @property
    def public_key(self) -> bytes:
        return public_key_of(KeyKind.ED25519, self.seed).data

    @property
    def address(self) -> bytes:
        return address(self.public_key)


@dataclass(frozen=True, slots=True)
class Genesis:
    """The genesis that every node of a chain must agree on. `hash` is the SHA-256 of `raw`, the file's exact bytes."""

    chain_id: str
    time: Timestamp
    validators: ValidatorSet
    raw: bytes = field(repr=False)
    hash: bytes

    # A file may list a million accounts, and nobody asks for them twice: they are read from its bytes each time.

    @property
    def document(self) -> Mapping[str, Any]:
        document: dict[str, Any] = msgspec.json.decode(self.raw)
        return document

    @property
    def app_state(self) -> AppState:
        return app_state_from_json(self.document.get("app_state"))


def create_genesis(
    chain_id: str,
    time_ns: int,
    validators: Sequence[tuple[PublicKey, bytes, int]],
    assets: Sequence[GenesisAsset] = (),
    accounts: Sequence[GenesisAccount] = (),
    others: Sequence[GenesisMember] = (),
) -> bytes:
    """A genesis file. `validators` are (consensus key, operator's ed25519 public key, power); `others` run none.

    Raise `RejectedError` for anything that a node would refuse to start with.
    """
    operators = tuple(
        GenesisOperator(f"validator-{index}", operator.hex(), power, consensus.kind.value, consensus.data.hex())
        for index, (consensus, operator, power) in enumerate(validators)
    )
    return genesis_file(chain_id, time_ns, AppState(operators, tuple(assets), tuple(accounts), tuple(others)))


def genesis_file(chain_id: str, time_ns: int, app_state: AppState) -> bytes:
    """The genesis file of a chain that begins with `app_state`, the same bytes for the same arguments.

    Raise `RejectedError` for anything that a node would refuse to start with.
    """
    keys = [PublicKey(KeyKind(one.key_kind), bytes.fromhex(one.key)) for one in app_state.operators]
    members = [Validator(key, one.power) for key, one in zip(keys, app_state.operators, strict=True)]
    document = {
        "genesis_time": comet_json.timestamp_to_json(Timestamp.from_nanos(time_ns)),
        "chain_id": chain_id,
        "initial_height": "1",
        "consensus_params": consensus_params(sorted({member.public_key.kind.value for member in members})),
        "validators": [
            {
                "address": comet_json.bytes_to_hex(member.address),
                "pub_key": comet_json.public_key_to_json(member.public_key),
                "power": str(member.power),
                "name": operator.name,
            }
            for member, operator in zip(members, app_state.operators, strict=True)
        ],
        "app_hash": "",
        "app_state": msgspec.to_builtins(app_state),
    }
    raw = msgspec.json.format(msgspec.json.encode(document), indent=2)
    parse_genesis(raw)
    return raw


def parse_genesis(raw: bytes) -> Genesis:
    """Raise `RejectedError` if the file is not one that a chain can start from."""
    if len(raw) > MAX_GENESIS_BYTES:
        raise RejectedError(f"a genesis file has at most {MAX_GENESIS_BYTES} bytes")
    try:
        document = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise RejectedError(f"the genesis file is not JSON: {error}") from None
    fields = comet_json.object_from_json(document)
    chain_id = require_chain_id(fields.get("chain_id"))
    _require_block_size(fields.get("consensus_params"))
    genesis_time = comet_json.timestamp_from_json(fields.get("genesis_time"))
    app_state = app_state_from_json(fields.get("app_state"))
    validators = comet_json.validator_set_from_json(fields.get("validators"))
    if str(fields.get("initial_height", "1")) != "1":
        raise RejectedError("this chain begins at height 1")
    genesis_writes(app_state, genesis_time.to_nanos() // 1_000_000)
    if ValidatorSet.of(list(validators_of(app_state))) != validators:
        raise RejectedError("the genesis file's validators are not those of the operators in its app_state")
    return Genesis(chain_id, genesis_time, validators, raw, hashlib.sha256(raw).digest())


def require_chain_id(value: Any) -> str:
    """Raise `RejectedError` for what CAIP-2 forbids as a reference."""
    if not isinstance(value, str) or not _CHAIN_ID.fullmatch(value):
        raise RejectedError(
            f"{str(value)[:80]!r} cannot be a chain id: 1 to 32 letters, digits, `-` and `_` can (CAIP-2 reference)"
        )
    return value


def _require_block_size(params: Any) -> None:
    """A node must carry no larger blocks than the ledger takes. Raise `RejectedError`."""
    found = comet_json.object_from_json(comet_json.object_from_json(params or {}).get("block") or {}).get("max_bytes")
    size = comet_json.integer_from_json(found if found is not None else -1, -(1 << 63), (1 << 63) - 1)
    if not 0 < size <= MAX_BLOCK_BYTES:
        raise RejectedError(f"block.max_bytes of the genesis file is {size}: this ledger takes up to {MAX_BLOCK_BYTES}")


def consensus_params(pub_key_types: Sequence[str]) -> dict[str, Any]:
    """Consensus parameters as the genesis file and `/consensus_params` print them."""
    return {
        "block": {"max_bytes": str(MAX_BLOCK_BYTES), "max_gas": str(UNLIMITED_GAS)},
        "evidence": {"max_age_num_blocks": "100000", "max_age_duration": "172800000000000", "max_bytes": "1048576"},
        "validator": {"pub_key_types": list(pub_key_types)},
        "version": {"app": "1"},
        "abci": {"vote_extensions_enable_height": "0"},
    }


def init_home(
    home: Path,
    chain_id: str,
    validators: int = 4,
    key_type: KeyKind = KeyKind.SECP256K1_ETH,
    assets: Sequence[GenesisAsset] = (),
    accounts: Sequence[GenesisAccount] = (),
    time_ns: int | None = None,
    others: Sequence[GenesisMember] = (),
) -> Genesis:
    """Make the home of a new chain with fresh keys; genesis time is now unless given.

    Raise `RejectedError` if there is one already, or if the chain could not start.
    """
    if not 0 < validators <= MAX_LOCAL_VALIDATORS:
        raise RejectedError(f"a local chain has 1 to {MAX_LOCAL_VALIDATORS} validators")
    if (home / GENESIS_FILE).exists() or (home / "validators").exists():
        raise RejectedError(f"{home} is the home of a chain already: choose another directory or remove it")
    keys = [(new_consensus_key(key_type), OperatorKey(secrets.token_bytes(32))) for _ in range(validators)]
    members = [(consensus.public_key, operator.public_key, DEFAULT_POWER) for consensus, operator in keys]
    raw = create_genesis(chain_id, time.time_ns() if time_ns is None else time_ns, members, assets, accounts, others)
    for index, (consensus, operator) in enumerate(keys):
        directory = home / "validators" / str(index)
        make_directory(directory, 0o700)
        write_secret(directory / CONSENSUS_KEY_FILE, consensus_key_document(consensus))
        write_account_key(directory / OPERATOR_KEY_FILE, operator)
    replace_file(home / GENESIS_FILE, raw, 0o644)
    return parse_genesis(raw)


def load_genesis(home: Path) -> Genesis:
    """Raise `RejectedError` if there is no genesis file in `home`, or one that no chain starts from."""
    path = home / GENESIS_FILE
    if not path.exists():
        raise RejectedError(
            f"{path} is missing: `causeway chain init-network` makes a network to try out, and `causeway chain init` "
            "and `collect` a home of your own"
        )
    try:
        raw = read_small(path, MAX_GENESIS_BYTES, "the genesis file")
    except FatalError as error:
        raise RejectedError(error.message) from None
    return parse_genesis(raw)


def load_validator_keys(home: Path) -> list[ValidatorKey]:
    """The consensus keys in this home. Raise `FatalError` for a file that is not readable as one."""
    return [load_consensus_key(path) for path in _key_files(home, CONSENSUS_KEY_FILE)]


def load_operator_keys(home: Path) -> list[OperatorKey]:
    """The operators' accounts in this home, in the order of the genesis file's operators."""
    return [load_operator_key(path) for path in _key_files(home, OPERATOR_KEY_FILE)]


def _key_files(home: Path, name: str) -> list[Path]:
    return sorted((home / "validators").glob(f"*/{name}"), key=lambda path: int(path.parent.name))


def new_consensus_key(kind: KeyKind) -> ValidatorKey:
    """Return a fresh key. All but about 2⁻¹²⁸ of 32 random bytes are a secp256k1 key."""
    secret = PrivateKey().secret if kind is KeyKind.SECP256K1_ETH else secrets.token_bytes(32)
    return ValidatorKey(kind, secret)


def consensus_key_document(key: ValidatorKey) -> dict[str, Any]:
    # Go's ed25519 private key is the seed followed by the public key.
    private = key.secret + key.public_key.data if key.kind is KeyKind.ED25519 else key.secret
    return {
        "address": comet_json.bytes_to_hex(key.public_key.address),
        "pub_key": comet_json.public_key_to_json(key.public_key),
        "priv_key": {"type": PRIVATE_KEY_TYPES[key.kind], "value": comet_json.bytes_to_base64(private)},
    }


def load_consensus_key(path: Path) -> ValidatorKey:
    """The key in a file of CometBFT's format. Raise `FatalError` if it is none."""
    document = _read_secret(path)
    kinds = {name: kind for kind, name in PRIVATE_KEY_TYPES.items()}
    try:
        kind = kinds[document["priv_key"]["type"]]
        key = ValidatorKey(kind, comet_json.bytes_from_base64(document["priv_key"]["value"])[:32])
        expected = comet_json.public_key_from_json(document["pub_key"])
    except (KeyError, TypeError, RejectedError):
        raise FatalError(f"{path} is not a validator key in CometBFT's format") from None
    if key.public_key != expected:
        raise FatalError(f"{path}: the private key is not the public key's")
    return key


def load_operator_key(path: Path) -> OperatorKey:
    """The account in a file that `init_home` made. Raise `FatalError` if there is none."""
    document = _read_secret(path)
    try:
        seed = bytes.fromhex(document["seed"])
    except (KeyError, TypeError, ValueError):
        seed = b""
    if len(seed) != 32:
        raise FatalError(f"{path} is not an operator's key")
    return OperatorKey(seed)


def write_account_key(path: Path, key: OperatorKey) -> None:
    """Write an account's key to a file that is not there yet. Raise `OSError`."""
    write_secret(path, {"type": "ed25519", "seed": key.seed.hex()})


def write_secret(path: Path, document: Mapping[str, Any]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(document))
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


def _read_secret(path: Path) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(read_small(path, MAX_KEY_FILE_BYTES, "the key file"))
    except msgspec.DecodeError:
        raise FatalError(f"{path} cannot be read as a key file") from None
    if not isinstance(document, dict):
        raise FatalError(f"{path} cannot be read as a key file")
    return document
