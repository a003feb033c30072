"""Officers' halves of orders, as the transactions that they sign, and the accounts by which a ledger knows them."""

import hashlib
from typing import Final

from nacl.signing import SigningKey

from adapters.consortium import unsigned
from core.model.consortium import address, raw_address
from core.model.consortium_orders import ApproveOrder, OrderTerms, PrepareOrder
from core.model.transactions import UnsignedTransaction
from core.model.types import AccountId, ChainId

NAMES: Final = ("officer-one", "officer-two")
CASE: Final = hashlib.sha256(b"a case").digest()


def addresses(chain: ChainId) -> tuple[bytes, ...]:
    """The officers' addresses: those of the signers of these names."""
    keys = [SigningKey(hashlib.sha256(f"{chain}/{name}".encode()).digest()) for name in NAMES]
    return tuple(address(bytes(key.verify_key)) for key in keys)


def order(held: AccountId, until_s: int) -> OrderTerms:
    return OrderTerms(raw_address(held), "a story", CASE, until_s)


def prepared(chain: ChainId, officer: AccountId, terms: OrderTerms) -> UnsignedTransaction:
    return unsigned(chain, officer, (PrepareOrder(terms),), "prepare an order")


def approved(chain: ChainId, officer: AccountId, number: int, terms: OrderTerms) -> UnsignedTransaction:
    return unsigned(chain, officer, (ApproveOrder(number, terms),), f"approve order {number}")
