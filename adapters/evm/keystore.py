"""The encrypted key files of Ethereum programs: Web3 Secret Storage, version 3 (geth, Foundry, wallets).

https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/
What a file asks for is checked before any work is done: a file may come from anywhere.
"""

import unicodedata
from pathlib import Path
from typing import Any, Final

import msgspec
from coincurve import PrivateKey

from adapters.evm.signing import LocalSigner, address_of_key
from core.model.errors import FatalError, RejectedError
from core.model.types import ChainId
from core.runtime.files import read_small

KEY_BYTES: Final = 32
MAX_KEYSTORE_BYTES: Final = 64 * 1024
MAX_SCRYPT_BYTES: Final = 1 << 30
"""128 * n * r bytes of memory (RFC 7914 section 2); geth's files need a quarter of it."""
MAX_SCRYPT_WORK_BYTES: Final = 4 << 30
"""The memory times p: some seconds."""
MAX_PBKDF2_ROUNDS: Final = 10_000_000
MAX_DERIVED_BYTES: Final = 64
WRITTEN_SCRYPT_N: Final = 1 << 18
"""The cost of the files that geth writes."""


def keystore_signer(chain: ChainId, path: Path, password: str) -> LocalSigner:
    """Return the signer of an encrypted keystore file. Raise as `keystore_key`."""
    return LocalSigner(chain, keystore_key(path, password))


def keystore_key(path: Path, password: str) -> bytes:
    """Return the 32-byte key of an encrypted keystore file; a shorter one is the same number with zeros in front.

    The password is tried as it was typed, then in the forms NFC and NFKD (UAX #15): programs differ in which they use.
    Raise `FatalError` for a file that is missing, damaged, too costly to open, another account's than it says, or not
    opened by this password.
    """
    if not path.exists():
        raise FatalError(f"there is no keystore at {path}")
    keystore = _keystore(path, read_small(path, MAX_KEYSTORE_BYTES, "the keystore"))
    key = _decrypted(path, keystore, password)
    if len(key) > KEY_BYTES:
        raise FatalError(f"the keystore {path} holds {len(key)} bytes: an Ethereum key has {KEY_BYTES}")
    key = key.rjust(KEY_BYTES, b"\0")
    try:
        address = address_of_key(PrivateKey(key).public_key).hex()
    except ValueError as error:
        raise FatalError(f"the keystore {path} holds a number that is not a key: zero, or too large") from error
    if keystore.address and address != keystore.address.lower().removeprefix("0x"):
        raise FatalError(f"the keystore {path} says {keystore.address[:64]} and holds the key of 0x{address}")
    return key


def encode_keystore(key: bytes, password: str) -> bytes:
    """Return a file with a 32-byte key, as costly to open as geth's. Raise `RejectedError` for a number that is not a
    key."""
    try:
        PrivateKey(key)
    except ValueError as error:
        raise RejectedError("this number is not an Ethereum key (zero, or too large): export its bare bytes") from error
    from eth_account import Account  # half a second of imports

    made = Account.encrypt(key, unicodedata.normalize("NFC", password), kdf="scrypt", iterations=WRITTEN_SCRYPT_N)
    return msgspec.json.format(msgspec.json.encode(made)) + b"\n"


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


def _decrypted(path: Path, keystore: _Keystore, password: str) -> bytes:
    from eth_account import Account  # half a second of imports

    refusal: Exception | None = None
    forms = (password, *(unicodedata.normalize(form, password) for form in ("NFC", "NFKD")))
    for form in dict.fromkeys(forms):
        try:
            return bytes(Account.decrypt(msgspec.to_builtins(keystore), form))
        except (ValueError, KeyError, TypeError, MemoryError) as error:
            refusal = error
    raise FatalError(f"the keystore {path} does not open with this password") from refusal


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
    if file.crypto.cipher != "aes-128-ctr":
        raise FatalError(f"the keystore {path} is encrypted by {file.crypto.cipher[:32]}: aes-128-ctr is known alone")
    return file


def _lowered(value: Any) -> Any:
    """Old files write `Crypto`: names of the format differ in more than case."""
    if not isinstance(value, dict):
        return value
    return {name.lower(): _lowered(member) for name, member in value.items()}
