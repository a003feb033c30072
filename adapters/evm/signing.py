"""Keys on this machine: secp256k1 signatures over Keccak-256, for EVM accounts."""

from typing import Final

from coincurve import PrivateKey, PublicKey

from adapters.evm.names import account
from core.model.errors import RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId, ChainId
from core.proofs.keccak import keccak256

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_SCHEME: Final = "secp256k1-keccak256"
SIGNATURE_BYTES: Final = 65
TYPED_DATA: Final = b"\x19\x01"
"""The first bytes of typed data (EIP-712) and of no transaction: 0x19 is neither an EIP-2718 type nor an RLP list."""
TYPED_DATA_BYTES: Final = len(TYPED_DATA) + 2 * 32
WALLET_V: Final = 27
"""The number that wallets and `ecrecover` add to the parity of a signature that is not a transaction's."""


class LocalSigner:
    """`Signer` with its key in memory. Has no `repr` of it and does not pickle."""

    __slots__ = ("_account", "_key")

    def __init__(self, chain: ChainId, private_key: bytes) -> None:
        self._key = PrivateKey(private_key)
        self._account = account(chain, address_of_key(self._key.public_key))

    @property
    def account(self) -> AccountId:
        return self._account

    async def sign(self, request: SigningRequest) -> bytes:
        """r‖s‖v. Raise `RejectedError` for another scheme, another account's transaction, or typed data."""
        check_request(self._account, request)
        return self._key.sign_recoverable(keccak256(request.payload), hasher=None)

    async def consent(self, asked: Consent) -> bytes:
        """r‖s‖v with v 27 or 28, as `eth_signTypedData_v4` answers.

        Raise `RejectedError` for another's consent, and for anything but typed data (EIP-712).
        """
        check_consent(self._account, asked)
        signature = self._key.sign_recoverable(keccak256(asked.payload), hasher=None)
        return signature[:64] + bytes([signature[64] + WALLET_V])

    def __repr__(self) -> str:
        return f"LocalSigner({self._account})"

    def __reduce__(self) -> str:
        raise TypeError("a key does not leave the process by pickling")


def check_request(owner: AccountId, request: SigningRequest) -> None:
    """Raise `RejectedError` for another scheme, another account's transaction, or typed data."""
    if request.scheme != SIGNATURE_SCHEME:
        raise RejectedError(f"this key signs {SIGNATURE_SCHEME}, not {request.scheme}")
    if request.transaction.sender != owner:
        raise RejectedError(f"this key is {owner}'s, not {request.transaction.sender}'s")
    if request.payload.startswith(TYPED_DATA[:1]):
        raise RejectedError("this is not a transaction: it begins as typed data does")


def check_consent(owner: AccountId, asked: Consent) -> None:
    """Raise `RejectedError` for another's consent, and for anything but typed data (EIP-712)."""
    if asked.account != owner:
        raise RejectedError(f"this key is {owner}'s, not {asked.account}'s")
    if len(asked.payload) != TYPED_DATA_BYTES or not asked.payload.startswith(TYPED_DATA):
        raise RejectedError("this is not a consent: its bytes are not typed data (EIP-712)")


def development_signer(chain: ChainId, mnemonic: str, index: int) -> LocalSigner:
    """The signer of a development mnemonic's account `index` (BIP-44 m/44'/60'/0'/0/index)."""
    from eth_account import Account  # half a second of imports

    Account.enable_unaudited_hdwallet_features()
    derived = Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}")
    return LocalSigner(chain, bytes(derived.key))


def recover_address(payload: bytes, signature: bytes) -> bytes:
    """Return the address whose key signed the Keccak-256 of `payload`. Raise `RejectedError` for a malformed
    signature."""
    if len(signature) != SIGNATURE_BYTES or signature[64] > 1:
        raise RejectedError("a signature is r‖s‖v, 65 bytes, with v 0 or 1")
    try:
        key = PublicKey.from_signature_and_message(signature, keccak256(payload), hasher=None)
    except Exception as error:  # coincurve raises a bare Exception for a point that is not on the curve
        raise RejectedError("this is not a signature") from error
    return address_of_key(key)


def low_s(r_and_s: bytes, parity: int) -> bytes:
    """Return r‖s‖v with v 0 or 1 and s in the lower half (EIP-2), of 64 bytes whose s may be in either."""
    s = int.from_bytes(r_and_s[32:], "big")
    if s > SECP256K1_ORDER // 2:
        parity, s = 1 - parity, abs(SECP256K1_ORDER - s)
    return r_and_s[:32] + s.to_bytes(32, "big") + bytes([parity])


def address_of_key(key: PublicKey) -> bytes:
    return keccak256(key.format(compressed=False)[1:])[12:]
