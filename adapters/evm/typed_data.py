"""Typed data that parties sign (EIP-712), as a wallet's JSON and as the bytes that a key signs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_account.messages import encode_typed_data

from adapters.evm.names import chain_number, hex_address
from core.model.transactions import Consent
from core.model.types import AccountId, ChainId
from core.proofs.keccak import keccak256

Fields = Sequence[tuple[str, str]]
"""(name, type) in the order of the declaration."""

DOMAIN_FIELDS: Final[Mapping[str, str]] = {
    "name": "string",
    "version": "string",
    "chainId": "uint256",
    "verifyingContract": "address",
}


@dataclass(frozen=True, slots=True)
class Domain:
    """The domain of a signature (EIP-712, "Definition of domainSeparator"). `version` None: the domain has none."""

    name: str
    version: str | None
    chain: ChainId
    contract: bytes

    def values(self) -> dict[str, Any]:
        version = {} if self.version is None else {"version": self.version}
        return {
            "name": self.name,
            **version,
            "chainId": chain_number(self.chain),
            "verifyingContract": hex_address(self.contract),
        }

    def separator(self) -> bytes:
        """Return the hash by which the contract knows the domain."""
        return encode_typed_data(full_message=_document(self, {"Empty": ()}, "Empty", {})).header


def consent_to(
    account: AccountId,
    domain: Domain,
    types: Mapping[str, Fields],
    primary: str,
    message: Mapping[str, Any],
    summary: str,
) -> Consent:
    """The consent of `account` to `message`, which is of the type `primary`."""
    document = _document(domain, types, primary, message)
    signable = encode_typed_data(full_message=document)
    payload = b"\x19" + signable.version + signable.header + signable.body
    shown = {**document, "message": _for_wallets(document["message"])}
    return Consent(account, json.dumps(shown), payload, summary)


def digest(consent: Consent) -> bytes:
    """Return the hash that a contract is asked about, and that a key signs."""
    return keccak256(consent.payload)


def _document(domain: Domain, types: Mapping[str, Fields], primary: str, message: Mapping[str, Any]) -> dict[str, Any]:
    values = domain.values()
    declared = {"EIP712Domain": [(name, DOMAIN_FIELDS[name]) for name in values], **types}
    return {
        "types": {name: [{"name": field, "type": kind} for field, kind in fields] for name, fields in declared.items()},
        "primaryType": primary,
        "domain": values,
        "message": dict(message),
    }


def _for_wallets(value: Any) -> Any:
    """JSON as wallets read it exactly: numbers in decimal, since theirs end at 2**53, and bytes in hex."""
    if isinstance(value, Mapping):
        return {name: _for_wallets(inner) for name, inner in value.items()}
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return str(value)
