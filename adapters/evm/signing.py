"""Keys on this machine: secp256k1 signatures over Keccak-256, for EVM accounts."""

import json
from pathlib import Path
from typing import Final

from coincurve import PrivateKey, PublicKey
from eth_account import Account

from adapters.evm.names import account
from core.model.errors import FatalError, RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId, ChainId
from core.proofs.keccak import keccak256

SIGNATURE_SCHEME: Final = "secp256k1-keccak256"
SIGNATURE_BYTES: Final = 65
WALLET_V: Final = 27
"""What wallets and `ecrecover` add to the parity of a signature that is not a transaction's."""


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
        """r‖s‖v. Raises `RejectedError` for another scheme or another account's transaction."""
        if request.scheme != SIGNATURE_SCHEME:
            raise RejectedError(f"this key signs {SIGNATURE_SCHEME}, not {request.scheme}")
        if request.transaction.sender != self._account:
            raise RejectedError(f"this key is {self._account}'s, not {request.transaction.sender}'s")
        return self._key.sign_recoverable(keccak256(request.payload), hasher=None)

    async def consent(self, asked: Consent) -> bytes:
        """r‖s‖v with v 27 or 28, as `eth_signTypedData_v4` answers. Raises `RejectedError` for another's consent."""
        if asked.account != self._account:
            raise RejectedError(f"this key is {self._account}'s, not {asked.account}'s")
        signature = self._key.sign_recoverable(keccak256(asked.payload), hasher=None)
        return signature[:64] + bytes([signature[64] + WALLET_V])

    def __repr__(self) -> str:
        return f"LocalSigner({self._account})"

    def __reduce__(self) -> str:
        raise TypeError("a key does not leave the process by pickling")


def development_signer(chain: ChainId, mnemonic: str, index: int) -> LocalSigner:
    """The signer of a development mnemonic's account `index` (BIP-44 m/44'/60'/0'/0/index)."""
    Account.enable_unaudited_hdwallet_features()
    derived = Account.from_mnemonic(mnemonic, account_path=f"m/44'/60'/0'/0/{index}")
    return LocalSigner(chain, bytes(derived.key))


def keystore_signer(chain: ChainId, path: Path, password: str) -> LocalSigner:
    """The signer of an encrypted keystore file (Web3 Secret Storage version 3). Raises `FatalError`."""
    try:
        return LocalSigner(chain, bytes(Account.decrypt(json.loads(path.read_text()), password)))
    except FileNotFoundError as error:
        raise FatalError(f"there is no keystore at {path}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise FatalError(f"the keystore at {path} does not open with this password") from error


def recover_address(payload: bytes, signature: bytes) -> bytes:
    """The address whose key signed the Keccak-256 of `payload`. Raises `RejectedError` for what is no signature."""
    if len(signature) != SIGNATURE_BYTES or signature[64] > 1:
        raise RejectedError("a signature is r‖s‖v, 65 bytes, with v 0 or 1")
    try:
        key = PublicKey.from_signature_and_message(signature, keccak256(payload), hasher=None)
    except Exception as error:  # coincurve raises a bare Exception for a point that is not on the curve
        raise RejectedError("this is not a signature") from error
    return address_of_key(key)


def address_of_key(key: PublicKey) -> bytes:
    return keccak256(key.format(compressed=False)[1:])[12:]
