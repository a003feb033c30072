"""Strangers' transactions on a ledger, in its own messages: several in one transaction, of which all hold or none
does."""

from typing import Final

from adapters.consortium import transfer, unsigned
from adapters.consortium.messages import messages_of
from core.model.consortium import Claim, raw_address
from core.model.ports import LegBuilder
from core.model.transactions import UnsignedTransaction
from core.model.types import PREIMAGE_BYTES, BaseUnits, LockId, LockTerms

NOBODYS_PREIMAGE: Final = b"\xff" * PREIMAGE_BYTES


def lock_with_payment(legs: LegBuilder, terms: LockTerms, place: LockId) -> UnsignedTransaction:
    """A lock behind a payment in the same transaction."""
    paid = transfer(terms.sender, terms.sender, terms.asset, BaseUnits(1))
    messages = messages_of(paid) + messages_of(legs.lock(terms, place))
    return unsigned(terms.timelock.chain, terms.sender, messages, "a payment and a lock, both or neither")


def lock_that_fails(legs: LegBuilder, terms: LockTerms, place: LockId) -> UnsignedTransaction:
    """A lock and then a claim of a lock that nobody made: the ledger has to refuse both."""
    nothing = Claim(raw_address(terms.sender), NOBODYS_PREIMAGE)
    messages = (*messages_of(legs.lock(terms, place)), nothing)
    return unsigned(terms.timelock.chain, terms.sender, messages, "a lock and a claim of nothing, both or neither")
