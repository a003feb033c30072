"""Openings on chains whose accounts are ed25519 keys (RFC 8032): what is signed, by whom, and how it is checked.

    signed   "causeway consent v1" 00 ‖ MessagePack array of the chain's genesis hash (bytes) and the statement's fields
             in their order, each a string: bytes in hex, numbers in decimal; kinds differ in the number of fields
    proof    public key (32 bytes) ‖ signature (64 bytes), since an account names only a digest of its key

Transactions of these chains begin with prefixes of their own, neither a beginning of the other: a consent is never a
transaction.
"""

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Final

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from core.model.errors import RejectedError
from core.model.openings import Statement
from core.model.ports import ChainParameters
from core.model.transactions import Consent
from core.model.types import AccountId

CONSENT_PREFIX: Final = b"causeway consent v1\0"
KEY_BYTES: Final = 32
PROOF_BYTES: Final = KEY_BYTES + 64


class Ed25519OpeningProofs:
    """`OpeningProofs` of one chain. `account_of` is the account of a public key."""

    def __init__(self, parameters: ChainParameters, account_of: Callable[[bytes], AccountId]) -> None:
        self._parameters = parameters
        self._account_of = account_of

    def message(self, opening: Statement) -> Consent:
        if opening.chain != self._parameters.chain:
            raise RejectedError(f"{opening.account} is not an account on {self._parameters.chain}")
        values = {field.name: _text(getattr(opening, field.name)) for field in fields(opening)}
        signed = msgspec.msgpack.encode([self._parameters.genesis_hash, *values.values()])
        return Consent(opening.account, json.dumps(values), CONSENT_PREFIX + signed, opening.summary)

    async def check(self, opening: Statement, proof: bytes) -> None:
        """Ask nobody: one signature is verified."""
        if len(proof) != PROOF_BYTES:
            raise RejectedError(
                f"the proof has {len(proof)} bytes: send the public key and the signature, {PROOF_BYTES}"
            )
        key, signature = proof[:KEY_BYTES], proof[KEY_BYTES:]
        message = self.message(opening)
        if self._account_of(key) != opening.account:
            raise RejectedError(f"the proof is signed by {self._account_of(key)}: sign it with {opening.account}")
        try:
            VerifyKey(key).verify(message.payload, signature)
        except (BadSignatureError, ValueError, TypeError):
            raise RejectedError(f"the proof is not {opening.account}'s signature over this statement") from None


def ed25519_consent(key: SigningKey, account: AccountId, asked: Consent) -> bytes:
    """Public key ‖ signature. Raise `RejectedError` for another account's consent, and for bytes that are not one."""
    if asked.account != account:
        raise RejectedError(f"this key is {account}'s, not {asked.account}'s")
    if not asked.payload.startswith(CONSENT_PREFIX):
        raise RejectedError("this is not a consent: its bytes do not begin as consents do")
    return bytes(key.verify_key) + key.sign(asked.payload).signature


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
