"""Accounts that sign, a small genesis, and a replay of a stored chain."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from nacl.signing import SigningKey

from core.model.consortium import (
    AccountLeaf,
    LockLeaf,
    Message,
    ResultCode,
    Transaction,
    TransactionBody,
    account_key,
    address,
    decode_leaf,
    encode_clock,
    encode_transaction,
    lock_key,
    sequence_count_key,
    sequence_key,
    sign_bytes,
    value_of,
)
from core.proofs.cometbft import json as comet_json
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.home import load_operator_keys
from local_chains.consortium.engine.rendering import decode
from local_chains.consortium.ledger.execution import Result, execute_block
from local_chains.consortium.ledger.genesis import (
    AppState,
    GenesisAccount,
    GenesisAsset,
    GenesisMember,
    GenesisOperator,
    genesis_writes,
)
from local_chains.consortium.ledger.invariants import check_locks, check_orders, check_quotas, check_supply
from local_chains.consortium.ledger.leaves import OwnLeaf
from local_chains.consortium.ledger.members import ValidatorUpdate
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.state.tree import root_hash, update

CHAIN = "test-1"
START_MS = 1_700_000_000_000
START_S = START_MS // 1000
FAR = 1 << 40


Own = TypeVar("Own", bound=OwnLeaf)


class Actor:
    """An account whose key is made from its name, or from a seed that is already there."""

    def __init__(self, name: str, seed: bytes = b"") -> None:
        self.key = SigningKey(seed or hashlib.sha256(name.encode()).digest())
        self.public_key = bytes(self.key.verify_key)
        self.address = address(self.public_key)

    def signed(self, sequence: int, *messages: Message, chain: str = CHAIN, expiry: int = FAR) -> bytes:
        body = TransactionBody(chain, self.public_key, sequence, expiry, messages)
        return encode_transaction(Transaction(body, bytes(self.key.sign(sign_bytes(body)).signature)))


ISSUER, ANN, BEN = Actor("issuer"), Actor("ann"), Actor("ben")
NOTARY = Actor("notary")
OPERATORS = tuple(Actor(f"operator {index}") for index in range(4))
NAMES = tuple(f"validator-{index}" for index in range(4))
ASSETS = (GenesisAsset("cnyd", ISSUER.address.hex(), 2), GenesisAsset("gold", ISSUER.address.hex(), 0))
ACCOUNTS = (
    GenesisAccount(ANN.address.hex(), {"cnyd": "1000", "gold": "5"}),
    GenesisAccount(BEN.address.hex(), {"cnyd": "50"}),
)


def consensus_key(name: str) -> bytes:
    """The public key of an ed25519 validator whose key is made from its name."""
    return Actor(f"consensus key of {name}").public_key


MEMBERS = (GenesisMember("mint", ISSUER.address.hex(), ("issuer",)),)


def app_state(powers: Sequence[int] = (10, 10, 10, 10)) -> AppState:
    operators = tuple(
        GenesisOperator(name, actor.public_key.hex(), power, "ed25519", consensus_key(name).hex())
        for name, actor, power in zip(NAMES, OPERATORS, powers, strict=True)
    )
    return AppState(operators, ASSETS, ACCOUNTS, MEMBERS)


def operators_of(home: Path) -> list[Actor]:
    """The accounts of the operators whose keys are in this home, in the order of the genesis file."""
    return [Actor("operator", key.seed) for key in load_operator_keys(home)]


def balance_of(account: AccountLeaf, symbol: str) -> int:
    return value_of(dict(account.balances).get(symbol, b""))


class Chain:
    """The bare ledger: blocks in, results out, invariants checked after each. `updates` are the last block's."""

    def __init__(self, genesis: AppState | None = None) -> None:
        writes = genesis_writes(genesis or app_state(), START_MS)
        self.leaves = {key: leaf for key, leaf in writes.items() if leaf is not None}
        self.height = 0
        self.time_ms = START_MS
        self.signatures = SignatureChecker()
        self.updates: tuple[ValidatorUpdate, ...] = ()

    def block(self, *transactions: bytes, after_s: float = 1.0) -> tuple[Result, ...]:
        """One block `after_s` later; the results are those of the transactions."""
        self.height += 1
        self.time_ms += round(after_s * 1000)
        entries = (encode_clock(self.time_ms), *transactions)
        outcome = execute_block(self.leaves, CHAIN, self.height, entries, self.signatures)
        self.updates = outcome.validator_updates
        before = dict(self.leaves)
        for key, leaf in outcome.writes.items():
            if leaf is None:
                self.leaves.pop(key, None)
            else:
                self.leaves[key] = leaf
        check_supply(self.leaves.items())
        check_locks(before, self.leaves)
        check_quotas(self.leaves)
        check_orders(self.leaves)
        assert outcome.results[0].code is ResultCode.OK
        return outcome.results[1:]

    def one(self, actor: Actor, *messages: Message, after_s: float = 1.0) -> Result:
        """A block with one transaction, under the account's next sequence."""
        return self.block(actor.signed(self.sequence(actor), *messages), after_s=after_s)[0]

    def account(self, who: bytes) -> AccountLeaf:
        raw = self.leaves.get(account_key(who))
        return AccountLeaf(0, ()) if raw is None else decode_leaf(raw, AccountLeaf)

    def sequence(self, actor: Actor) -> int:
        return self.account(actor.address).sequence

    def balance(self, who: bytes, symbol: str = "cnyd") -> int:
        return balance_of(self.account(who), symbol)

    def sequence_at(self, sequence: bytes) -> list[bytes]:
        """All entries of an append-only sequence, of which nothing is missing and nothing is too much."""
        count = int.from_bytes(self.leaves.get(sequence_count_key(sequence), b""), "big")
        assert sequence_key(sequence, count + 1) not in self.leaves
        return [self.leaves[sequence_key(sequence, place)] for place in range(1, count + 1)]

    def lock(self, sender: bytes, hashlock: bytes) -> LockLeaf:
        return decode_leaf(self.leaves[lock_key(sender, hashlock)], LockLeaf)


def decode_own(raw: bytes, kind: type[Own]) -> Own:
    """A leaf that only the ledger itself reads."""
    return msgspec.msgpack.decode(raw, type=kind)


async def replayed_app_hash(engine: EmbeddedEngine) -> bytes:
    """The app hash after executing every stored block again, from the genesis file and with no memory of signatures."""
    genesis = engine.genesis
    writes = genesis_writes(genesis.app_state, genesis.time.to_nanos() // 1_000_000)
    leaves = {key: leaf for key, leaf in writes.items() if leaf is not None}
    tree = update(None, leaves)
    for height in range(1, engine.tip.height + 1):
        stored = await engine.store.block(height)
        assert stored is not None
        entries = comet_json.block_from_json(decode(stored.block)["block"]).txs
        outcome = execute_block(leaves, genesis.chain_id, height, entries, SignatureChecker())
        tree = update(tree, outcome.writes)
        assert root_hash(tree) == stored.app_hash
        for key, leaf in outcome.writes.items():
            if leaf is None:
                leaves.pop(key, None)
            else:
                leaves[key] = leaf
        check_supply(leaves.items())
    return root_hash(tree)


def home_in(directory: Path) -> Path:
    return directory / "chain"
