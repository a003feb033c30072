"""Calls of the HashedTimelock that lack a party's signature."""

from dataclasses import dataclass, field
from typing import Any, Final

from adapters.evm.calls import encode_call, unsigned_call
from adapters.evm.signing import SIGNATURE_BYTES, WALLET_V, recover_address
from core.model.errors import RejectedError
from core.model.transactions import Consent, UnsignedTransaction
from core.model.types import AccountId, chain_of
from core.proofs.lanes import evm_address

MAX_SIGNATURE_BYTES: Final = 4_096
"""Wallets that are contracts take what they like, such as many owners' signatures in a row."""


@dataclass(frozen=True, slots=True)
class CallDraft:
    """`Draft` of one call: `arguments` are all but the signature, which comes last.

    `by_key`: it has to be a key's, and is handed over as v, r, s; otherwise as bytes, and a wallet that is a contract
    may have given it (EIP-1271). `only_sender`: who alone can carry it out; `unsigned_by`: who needs no signature to.
    """

    consent: Consent
    htlc: bytes
    function: str
    arguments: tuple[Any, ...] = field(repr=False)
    gas: int
    summary: str
    warm: tuple[bytes, ...] = ()
    by_key: bool = False
    only_sender: AccountId | None = None
    unsigned_by: AccountId | None = None

    def complete(self, signature: bytes, sender: AccountId) -> UnsignedTransaction:
        """See the port. `signature` is as `eth_signTypedData_v4` gives it: r‖s‖v with v 27 or 28, or a wallet's own."""
        if chain_of(sender) != chain_of(self.consent.account) or self.only_sender not in (None, sender):
            raise RejectedError(f"{sender} cannot carry this out: {self.summary}")
        if self.by_key:
            last: tuple[Any, ...] = _key_signature(self.consent, signature)
        elif len(signature) <= MAX_SIGNATURE_BYTES and (signature or sender == self.unsigned_by):
            last = (signature,)
        else:
            raise RejectedError(f"a signature has 1 to {MAX_SIGNATURE_BYTES} bytes, this has {len(signature)}")
        data = encode_call("HashedTimelock", self.function, *self.arguments, *last)
        return unsigned_call(sender, self.htlc, data, gas=self.gas, warm=self.warm, summary=self.summary)


def _key_signature(consent: Consent, signature: bytes) -> tuple[int, bytes, bytes]:
    """v, r, s. Raise `RejectedError` if it is not the account's key that signed this."""
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (WALLET_V, WALLET_V + 1):
        raise RejectedError("a key's signature is r‖s‖v, 65 bytes, with v 27 or 28")
    parity = bytes([signature[64] - WALLET_V])
    if recover_address(consent.payload, signature[:64] + parity) != evm_address(consent.account):
        raise RejectedError(f"this signature is not {consent.account}'s, or is for something else")
    return signature[64], signature[:32], signature[32:64]
