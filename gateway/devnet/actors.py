"""The devnet's people: fresh keys on both chains, and what each of them is given."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coincurve import PrivateKey

from adapters.consortium.signing import Ed25519Signer
from adapters.evm.signing import LocalSigner
from core.model.consortium import raw_address
from core.model.consortium_orders import OFFICER
from core.model.types import BaseUnits, ChainId
from gateway.devnet.info import Keys
from local_chains.consortium.engine.home import OperatorKey, write_account_key
from local_chains.consortium.ledger.genesis import GenesisMember
from local_chains.consortium.node import GenesisAccount

ETHER_EACH: Final = BaseUnits(1_000 * 10**18)
TOKENS_EACH: Final = BaseUnits(1_000_000 * 10**6)
YUAN_EACH: Final = 100_000_000 * 10**2
OFFICERS: Final = ("officer-li", "officer-wang")
YUAN: Final = "cnyd"
YUAN_DECIMALS: Final = 2


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody with an account on both chains."""

    name: str
    ethereum: LocalSigner
    consortium: Ed25519Signer
    keys: Keys = field(repr=False)

    def genesis_account(self) -> GenesisAccount:
        return GenesisAccount(raw_address(self.consortium.account).hex(), {YUAN: str(YUAN_EACH)})


def make_officers(directory: Path) -> list[GenesisMember]:
    """Fresh keys of a supervisor's officers, each in a file of its own, and the organisations that they stand for."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    members = []
    for name in OFFICERS:
        key = OperatorKey(secrets.token_bytes(32))
        write_account_key(directory / f"{name}.json", key)
        members.append(GenesisMember(name, key.address.hex(), (OFFICER,)))
    return members


def new_actor(name: str, ethereum: ChainId, consortium: ChainId) -> Actor:
    """An actor with fresh keys."""
    secp256k1, ed25519 = PrivateKey().secret, secrets.token_bytes(32)
    evm, ledger = LocalSigner(ethereum, secp256k1), Ed25519Signer(consortium, ed25519)
    keys = Keys(name, secp256k1.hex(), ed25519.hex(), evm.account, ledger.account)
    return Actor(name, evm, ledger, keys)
