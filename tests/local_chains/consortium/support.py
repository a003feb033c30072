"""Accounts that sign, a small genesis, and a replay of a stored chain."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

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
    sign_bytes,
)
from core.proofs.cometbft import json as comet_json
from local_chains.consortium.engine.embedded import EmbeddedEngine
from local_chains.consortium.engine.rendering import decode
from local_chains.consortium.ledger.bank import balance_of
from local_chains.consortium.ledger.execution import Result, execute_block
from local_chains.consortium.ledger.genesis import (
    AppState,
    GenesisAccount,
    GenesisAsset,
    GenesisOperator,
    genesis_writes,
)
from local_chains.consortium.ledger.invariants import check_locks, check_supply
from local_chains.consortium.ledger.signatures import SignatureChecker
from local_chains.consortium.state.tree import root_hash, update

CHAIN = "test-1"
START_MS = 1_700_000_000_000
START_S = START_MS // 1000
FAR = 1 << 40


class Actor:
    """An account whose key is made from its name."""

    def __init__(self, name: str) -> None:
        self.key = SigningKey(hashlib.sha256(name.encode()).digest())
        self.public_key = bytes(self.key.verify_key)
        self.address = address(self.public_key)

    def signed(self, sequence: int, *messages: Message, chain: str = CHAIN, expiry: int = FAR) -> bytes:
        body = TransactionBody(chain, self.public_key, sequence, expiry, messages)
        return encode_transaction(Transaction(body, bytes(self.key.sign(sign_bytes(body)).signature)))


ISSUER, ANN, BEN = Actor("issuer"), Actor("ann"), Actor("ben")
OPERATORS = tuple(Actor(f"operator {index}") for index in range(4))
ASSETS = (GenesisAsset("cnyd", ISSUER.address.hex(), 2), GenesisAsset("gold", ISSUER.address.hex(), 0))
ACCOUNTS = (
    GenesisAccount(ANN.address.hex(), {"cnyd": "1000", "gold": "5"}),
    GenesisAccount(BEN.address.hex(), {"cnyd": "50"}),
)


def app_state(powers: Sequence[int] = (10, 10, 10, 10)) -> AppState:
    operators = tuple(
        GenesisOperator(f"validator-{index}", actor.public_key.hex(), power)
        for index, (actor, power) in enumerate(zip(OPERATORS, powers, strict=True))
    )
    return AppState(operators, ASSETS, ACCOUNTS)


class Chain:
    """The bare ledger: blocks in, results out, invariants checked after each."""

    def __init__(self, genesis: AppState | None = None) -> None:
        writes = genesis_writes(genesis or app_state(), START_MS)
        self.leaves = {key: leaf for key, leaf in writes.items() if leaf is not None}
        self.height = 0
        self.time_ms = START_MS
        self.signatures = SignatureChecker()

    def block(self, *transactions: bytes, after_s: float = 1.0) -> tuple[Result, ...]:
        """One block `after_s` later; the results are those of the transactions."""
        self.height += 1
        self.time_ms += round(after_s * 1000)
        entries = (encode_clock(self.time_ms), *transactions)
        outcome = execute_block(self.leaves, CHAIN, self.height, entries, self.signatures)
        before = dict(self.leaves)
        for key, leaf in outcome.writes.items():
            if leaf is None:
                del self.leaves[key]
            else:
                self.leaves[key] = leaf
        check_supply(self.leaves.items())
        check_locks(before, self.leaves)
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

    def lock(self, sender: bytes, hashlock: bytes) -> LockLeaf:
        return decode_leaf(self.leaves[lock_key(sender, hashlock)], LockLeaf)


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
