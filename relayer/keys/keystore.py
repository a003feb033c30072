"""Named 32-byte keys in one encrypted file: Argon2id over a passphrase, then XSalsa20-Poly1305 (libsodium secretbox).

The passphrase comes from a prompt, a file or an environment variable, never from a command line, and means the same in
every Unicode form that a keyboard may give it (NFC, UAX #15). What a key is for (an Ethereum account, an ed25519
account, quotes) is its name's business: signers are made from keys elsewhere.
"""

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from nacl import pwhash
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from core.model.errors import FatalError, NotFoundError, RejectedError
from core.model.types import Hashlock, Preimage
from core.runtime.clock import SecretSource, SystemSecrets
from core.runtime.files import read_small, replace_file

KEY_BYTES: Final = 32
MAX_FILE_BYTES: Final = 1 << 20
MAX_MEMORY_BYTES: Final = 1 << 30
MAX_WORK_BYTES: Final = 4 << 30
"""Memory times passes over it: what libsodium calls sensitive, some seconds."""
MAX_PASSPHRASE_BYTES: Final = 4_096
MIN_PASSPHRASE_CHARS: Final = 8
PREIMAGE_DOMAIN: Final = b"causeway preimage v1\0"
QUOTE_KEY: Final = "quote"
"""The name of the ed25519 key that signs quotes."""


class SecretKey:
    """32 secret bytes. Has no `repr`, does not pickle, compares in constant time; `expose` is the one way to them."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != KEY_BYTES:
            raise RejectedError(f"a key is {KEY_BYTES} bytes")
        self._raw = raw

    def expose(self) -> bytes:
        return self._raw

    def preimage(self, context: bytes) -> Preimage:
        """A preimage that need not be stored: HMAC-SHA-256 of `context` (unique for ever) under this key."""
        return Preimage(hmac.digest(self._raw, PREIMAGE_DOMAIN + context, hashlib.sha256))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretKey) and hmac.compare_digest(self._raw, other._raw)

    def __hash__(self) -> int:
        return hash(hashlib.sha256(self._raw).digest())

    def __repr__(self) -> str:
        return "SecretKey(hidden)"

    def __reduce__(self) -> str:
        raise TypeError("a key does not leave the process by pickling")


class Keystore:
    """The keys of one relayer, by name, in memory."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {name: SecretKey(raw) for name, raw in keys.items()}

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._keys))

    def key(self, name: str) -> SecretKey:
        """Raise `NotFoundError`."""
        if name not in self._keys:
            raise NotFoundError(f"the keystore has no key called {name[:64]!r}: add it")
        return self._keys[name]

    def __repr__(self) -> str:
        return f"Keystore({', '.join(self.names())})"


class DerivedPreimages:
    """An initiator's vault: derives preimages from one key and finds them again by hashlock.

    A context is whatever names the swap before its hashlock is known, such as a quote's id.
    """

    def __init__(self, key: SecretKey) -> None:
        self._key = key
        self._contexts: dict[Hashlock, bytes] = {}

    def derive(self, context: bytes) -> Hashlock:
        hashlock = self._key.preimage(context).hashlock()
        self._contexts[hashlock] = context
        return hashlock

    def preimage(self, hashlock: Hashlock) -> Preimage:
        """Raise `NotFoundError`."""
        if hashlock not in self._contexts:
            raise NotFoundError("no preimage under this hashlock: derive it from its context first")
        return self._key.preimage(self._contexts[hashlock])


class _File(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    kdf: str
    operations: int
    memory_bytes: int
    salt: bytes
    box: bytes


def new_key(source: SecretSource | None = None) -> bytes:
    return (source or SystemSecrets()).token_bytes(KEY_BYTES)


def write_keystore(path: Path, passphrase: str, keys: Mapping[str, bytes]) -> None:
    """Encrypt the keys into `path`, readable by this user only, replacing an older file in one step.

    Raise `RejectedError` for a short passphrase or a key of another length, `FatalError` when the file cannot be
    written.
    """
    check_passphrase(passphrase)
    for raw in keys.values():
        SecretKey(raw)
    source = SystemSecrets()
    salt = source.token_bytes(pwhash.argon2id.SALTBYTES)
    operations, memory = pwhash.argon2id.OPSLIMIT_INTERACTIVE, pwhash.argon2id.MEMLIMIT_INTERACTIVE
    plain = msgspec.json.encode({name: raw.hex() for name, raw in keys.items()})
    box = SecretBox(_derive(_normalized(passphrase), salt, operations, memory)).encrypt(plain)
    stored = msgspec.json.encode(_File(1, "argon2id", operations, memory, salt, bytes(box)))
    try:
        replace_file(path, stored)
    except OSError as error:
        raise FatalError(f"the keystore {path} cannot be written: {error.strerror}") from error


def read_keystore(path: Path, passphrase: str) -> Keystore:
    """Raise `FatalError` for a file that is missing, damaged, too costly to open, or not opened by this passphrase.

    What the file asks for is checked before any work is done.
    """
    raw = read_small(path, MAX_FILE_BYTES, "the keystore")
    try:
        file = msgspec.json.decode(raw, type=_File)
    except (msgspec.MsgspecError, ValueError):
        raise _damaged(path) from None
    _check_cost(path, file)
    # Files of before 0.1 were encrypted under the passphrase as it was typed.
    for form in dict.fromkeys((_normalized(passphrase), passphrase)):
        plain = _opened(path, file, form)
        if plain is not None:
            break
    else:
        raise FatalError(f"the passphrase does not open the keystore {path}")
    try:
        keys = msgspec.json.decode(plain, type=dict[str, str])
        return Keystore({name: bytes.fromhex(value) for name, value in keys.items()})
    except (msgspec.MsgspecError, ValueError, TypeError, RejectedError):
        raise _damaged(path) from None


def _opened(path: Path, file: _File, passphrase: str) -> bytes | None:
    """Return what the box holds, None under another passphrase. Raise `FatalError`."""
    try:
        box = SecretBox(_derive(passphrase, file.salt, file.operations, file.memory_bytes))
    except (ValueError, TypeError):
        raise _damaged(path) from None
    except (CryptoError, MemoryError):
        raise FatalError(
            f"the keystore {path} needs {file.memory_bytes >> 20} MiB of memory to open, more than this machine has"
        ) from None
    try:
        return bytes(box.decrypt(file.box))
    except (ValueError, TypeError):
        raise _damaged(path) from None
    except CryptoError:
        return None


def _check_cost(path: Path, file: _File) -> None:
    if file.version != 1 or file.kdf != "argon2id":
        raise FatalError(f"the keystore {path} has an unknown format: open it with the version that wrote it")
    if not 0 < file.memory_bytes <= MAX_MEMORY_BYTES:
        raise FatalError(
            f"the keystore {path} asks for {file.memory_bytes} bytes of memory to open: at most {MAX_MEMORY_BYTES} are "
            "allowed; restore it from a backup"
        )
    if not 0 < file.operations <= MAX_WORK_BYTES // file.memory_bytes:
        raise FatalError(
            f"the keystore {path} asks for {file.operations} passes over {file.memory_bytes} bytes to open: at most "
            f"{MAX_WORK_BYTES} bytes of work are allowed; restore it from a backup"
        )


def _damaged(path: Path) -> FatalError:
    return FatalError(f"the keystore {path} is damaged: restore it from a backup")


def check_passphrase(passphrase: str) -> None:
    """Raise `RejectedError` for a passphrase that is short or blank."""
    if len(passphrase) < MIN_PASSPHRASE_CHARS or not passphrase.strip():
        raise RejectedError(f"a passphrase has at least {MIN_PASSPHRASE_CHARS} characters, and not only spaces")
    if len(passphrase.encode()) > MAX_PASSPHRASE_BYTES:
        raise RejectedError(f"a passphrase has at most {MAX_PASSPHRASE_BYTES} bytes")


def read_passphrase(file: Path | None = None, variable: str = "CAUSEWAY_PASSPHRASE") -> str:
    """From `file` (its first line) or else from the environment. Raise `FatalError` if neither has one."""
    if file is not None:
        try:
            text = read_small(file, MAX_PASSPHRASE_BYTES, "the passphrase file").decode()
        except UnicodeDecodeError as error:
            raise FatalError(f"the passphrase file {file} cannot be read: it is not UTF-8") from error
        # Only ends of lines end it: `splitlines` knows other characters, which a passphrase may have.
        line = text.partition("\n")[0].removesuffix("\r")
        if line:
            return line
        raise FatalError(f"the passphrase file {file} is empty")
    found = os.environ.get(variable, "")
    if not found:
        raise FatalError(f"no passphrase for the keystore: name a passphrase file, or set {variable}")
    return found


def _normalized(passphrase: str) -> str:
    return unicodedata.normalize("NFC", passphrase)


def _derive(passphrase: str, salt: bytes, operations: int, memory_bytes: int) -> bytes:
    return bytes(pwhash.argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, operations, memory_bytes))
