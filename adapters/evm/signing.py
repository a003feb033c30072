"""Keys on this machine: secp256k1 signatures over Keccak-256, for EVM accounts."""

from pathlib import Path
from typing import Any, Final

import msgspec
from coincurve import PrivateKey, PublicKey
from eth_account import Account

from adapters.evm.names import account
from core.model.errors import FatalError, RejectedError
from core.model.transactions import Consent, SigningRequest
from core.model.types import AccountId, ChainId
from core.proofs.keccak import keccak256
from core.runtime.files import read_small

SIGNATURE_SCHEME: Final = "secp256k1-keccak256"
SIGNATURE_BYTES: Final = 65
TYPED_DATA: Final = b"\x19\x01"
"""The first bytes of typed data (EIP-712) and of no transaction: 0x19 is neither an EIP-2718 type nor an RLP list."""
TYPED_DATA_BYTES: Final = len(TYPED_DATA) + 2 * 32
WALLET_V: Final = 27
"""The number that wallets and `ecrecover` add to the parity of a signature that is not a transaction's."""
MAX_KEYSTORE_BYTES: Final = 64 * 1024
MAX_SCRYPT_BYTES: Final = 1 << 30
"""128 * n * r bytes of memory (RFC 7914 section 2); geth's files need a quarter of it."""
MAX_SCRYPT_WORK_BYTES: Final = 4 << 30
"""The memory times p: some seconds."""
MAX_PBKDF2_ROUNDS: Final = 10_000_000
MAX_DERIVED_BYTES: Final = 64


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
        if request.scheme != SIGNATURE_SCHEME:
            raise RejectedError(f"this key signs {SIGNATURE_SCHEME}, not {request.scheme}")
        if request.transaction.sender != self._account:
            raise RejectedError(f"this key is {self._account}'s, not {request.transaction.sender}'s")
        if request.payload.startswith(TYPED_DATA[:1]):
            raise RejectedError("this is not a transaction: it begins as typed data does")
        return self._key.sign_recoverable(keccak256(request.payload), hasher=None)

    async def consent(self, asked: Consent) -> bytes:
        """r‖s‖v with v 27 or 28, as `eth_signTypedData_v4` answers.

        Raise `RejectedError` for another's consent, and for anything but typed data (EIP-712).
        """
        if asked.account != self._account:
            raise RejectedError(f"this key is {self._account}'s, not {asked.account}'s")
        if len(asked.payload) != TYPED_DATA_BYTES or not asked.payload.startswith(TYPED_DATA):
            raise RejectedError("this is not a consent: its bytes are not typed data (EIP-712)")
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
    """The signer of an encrypted keystore file (Web3 Secret Storage version 3).

    Raise `FatalError` for a file that is missing, damaged, too costly to open, another account's than it says, or not
    opened by this password. What the file asks for is checked before any work is done.
    """
    if not path.exists():
        raise FatalError(f"there is no keystore at {path}")
    keystore = _keystore(path, read_small(path, MAX_KEYSTORE_BYTES, "the keystore"))
    try:
        signer = LocalSigner(chain, bytes(Account.decrypt(msgspec.to_builtins(keystore), password)))
    except (ValueError, KeyError, TypeError, MemoryError) as error:
        raise FatalError(f"the keystore {path} does not open with this password") from error
    if keystore.address and not signer.account.endswith(keystore.address.lower().removeprefix("0x")):
        raise FatalError(f"the keystore {path} says {keystore.address} and holds the key of {signer.account}")
    return signer


class _Scrypt(msgspec.Struct, frozen=True):
    n: int
    r: int
    p: int
    dklen: int
    salt: str

    def check(self, path: Path) -> None:
        if self.n < 2 or self.n & (self.n - 1) or self.r < 1 or self.p < 1:
            raise FatalError(f"the keystore {path} is damaged: n of its scrypt is a power of 2, r and p are positive")
        if 128 * self.n * self.r > MAX_SCRYPT_BYTES or self.n * self.r * self.p * 128 > MAX_SCRYPT_WORK_BYTES:
            raise FatalError(
                f"the keystore {path} asks for scrypt with n = {self.n}, r = {self.r}, p = {self.p}: at most "
                f"{MAX_SCRYPT_BYTES} bytes of memory and {MAX_SCRYPT_WORK_BYTES} bytes of work are allowed"
            )


class _Pbkdf2(msgspec.Struct, frozen=True):
    c: int
    prf: str
    dklen: int
    salt: str

    def check(self, path: Path) -> None:
        if not 0 < self.c <= MAX_PBKDF2_ROUNDS:
            raise FatalError(
                f"the keystore {path} asks for {self.c} rounds of PBKDF2: 1 to {MAX_PBKDF2_ROUNDS} are allowed"
            )


class _CipherParameters(msgspec.Struct, frozen=True):
    iv: str


class _Crypto(msgspec.Struct, frozen=True):
    cipher: str
    cipherparams: _CipherParameters
    ciphertext: str
    kdf: str
    kdfparams: dict[str, int | str]
    mac: str


class _Keystore(msgspec.Struct, frozen=True):
    version: int
    crypto: _Crypto
    address: str = ""


def _keystore(path: Path, raw: bytes) -> _Keystore:
    """The file as its specification has it, no costlier than our limits."""
    try:
        file = msgspec.convert(_lowered(msgspec.json.decode(raw)), _Keystore)
        if file.version != 3 or file.crypto.kdf not in ("scrypt", "pbkdf2"):
            raise FatalError(f"the keystore {path} is not of version 3 with scrypt or pbkdf2")
        kind: type[_Scrypt | _Pbkdf2] = _Scrypt if file.crypto.kdf == "scrypt" else _Pbkdf2
        parameters = msgspec.convert(file.crypto.kdfparams, kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FatalError(f"the keystore {path} is damaged: {str(error)[:200]}") from None
    parameters.check(path)
    if not 32 <= parameters.dklen <= MAX_DERIVED_BYTES:
        raise FatalError(f"the keystore {path} asks for a key of {parameters.dklen} bytes: 32 to {MAX_DERIVED_BYTES}")
    return file


def _lowered(value: Any) -> Any:
    """Old files write `Crypto`: names of the format differ in more than case."""
    if not isinstance(value, dict):
        return value
    return {name.lower(): _lowered(member) for name, member in value.items()}


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


def address_of_key(key: PublicKey) -> bytes:
    return keccak256(key.format(compressed=False)[1:])[12:]
