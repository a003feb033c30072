"""Openings that an Ethereum account signs (EIP-712), and how they are checked.

By its key, or else by its code (EIP-1271).
"""

from typing import Final

from coincurve import PublicKey

from adapters.evm.endpoints import Endpoints
from adapters.evm.names import hex_address
from adapters.evm.rpc import RpcClient, data_bytes
from adapters.evm.signing import SIGNATURE_BYTES, WALLET_V, address_of_key
from adapters.evm.typed_data import Domain, Fields, consent_to, digest
from core.model.errors import RejectedError
from core.model.openings import MAX_PROOF_BYTES, Access, Statement
from core.model.transactions import Consent
from core.model.types import ChainId
from core.proofs.lanes import evm_address

OPENING: Final[Fields] = (
    ("relayer", "bytes32"),
    ("quote", "string"),
    ("hashlock", "bytes32"),
    ("account", "address"),
    ("give", "string"),
    ("giveAmount", "uint256"),
    ("giveTo", "string"),
    ("get", "string"),
    ("getAmount", "uint256"),
    ("getTo", "string"),
    ("expiresAt", "uint256"),
)
ACCESS: Final[Fields] = (
    ("relayer", "bytes32"),
    ("account", "address"),
    ("challenge", "bytes32"),
    ("expiresAt", "uint256"),
)
IS_VALID_SIGNATURE: Final = bytes.fromhex("1626ba7e")
"""Selector of `isValidSignature(bytes32,bytes)`, and what it answers for a good one (EIP-1271)."""
WALLET_GAS: Final = 300_000
"""Gas for a wallet that is a contract to check its owners' signatures."""
HALF_ORDER: Final = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Half of secp256k1's order: a larger s is another form of the same signature (EIP-2)."""


class EvmOpeningProofs:
    """`OpeningProofs` of one chain, for the HashedTimelock at `htlc`."""

    def __init__(self, chain: ChainId, endpoints: Endpoints, htlc: bytes) -> None:
        self._chain = chain
        self._endpoints = endpoints
        self._htlc = htlc

    def message(self, opening: Statement) -> Consent:
        """Typed data of the domain `Causeway`, version 1, whose contract is the HashedTimelock."""
        if opening.chain != self._chain:
            raise RejectedError(f"{opening.account} is not an account on {self._chain}")
        domain = Domain("Causeway", "1", self._chain, self._htlc)
        if isinstance(opening, Access):
            asked = {
                "relayer": opening.relayer,
                "account": hex_address(evm_address(opening.account)),
                "challenge": opening.challenge,
                "expiresAt": opening.expires_at,
            }
            return consent_to(opening.account, domain, {"Access": ACCESS}, "Access", asked, opening.summary)
        message = {
            "relayer": opening.relayer,
            "quote": opening.quote_id,
            "hashlock": opening.hashlock,
            "account": hex_address(evm_address(opening.account)),
            "give": opening.given_asset,
            "giveAmount": opening.given_amount,
            "giveTo": opening.given_to,
            "get": opening.wanted_asset,
            "getAmount": opening.wanted_amount,
            "getTo": opening.wanted_to,
            "expiresAt": opening.expires_at,
        }
        return consent_to(opening.account, domain, {"Opening": OPENING}, "Opening", message, opening.summary)

    async def check(self, opening: Statement, proof: bytes) -> None:
        """A key's signature asks nobody; any other proof is one bounded call of the account's code, at a quorum."""
        if not 0 < len(proof) <= MAX_PROOF_BYTES:
            raise RejectedError(f"the proof has {len(proof)} bytes: a signature has 1 to {MAX_PROOF_BYTES}")
        signed = digest(self.message(opening))
        if signer_of(signed, proof) == evm_address(opening.account):
            return
        if not await self._endpoints.agreed(lambda client: self._accepts(client, opening, signed, proof)):
            raise RejectedError(f"the proof is not {opening.account}'s signature over this statement")

    async def _accepts(self, client: RpcClient, opening: Statement, signed: bytes, proof: bytes) -> bool:
        """True if the account has code, and it takes the signature. Without code the answer is empty."""
        padded = proof + bytes(-len(proof) % 32)
        data = IS_VALID_SIGNATURE + signed + (64).to_bytes(32, "big") + len(proof).to_bytes(32, "big") + padded
        call = {
            "to": hex_address(evm_address(opening.account)),
            "gas": hex(WALLET_GAS),
            "input": f"0x{data.hex()}",
        }
        try:
            answer = data_bytes(await client.call("eth_call", call, "latest"))
        except RejectedError:
            return False
        return answer[:32] == IS_VALID_SIGNATURE.ljust(32, b"\0")


def signer_of(signed: bytes, signature: bytes) -> bytes | None:
    """The address whose key made r‖s‖v over the 32 bytes `signed`, None if none did: v is 27 or 28, and s is low."""
    if len(signature) != SIGNATURE_BYTES or signature[64] - WALLET_V not in (0, 1):
        return None
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        return None
    try:
        recoverable = signature[:64] + bytes([signature[64] - WALLET_V])
        key = PublicKey.from_signature_and_message(recoverable, signed, hasher=None)
    except Exception:  # coincurve raises a bare Exception for a point that is not on the curve
        return None
    return address_of_key(key)
