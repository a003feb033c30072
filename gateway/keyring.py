"""The work of `causeway keys` on a keystore, under its lock: keys come in, go out, change their passphrase."""

import getpass
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coincurve import PrivateKey
from nacl.signing import SigningKey

from adapters.evm.keystore import encode_keystore, keystore_key
from adapters.evm.signing import address_of_key
from core.model import consortium
from core.model.addresses import checksummed
from core.model.errors import ConflictError, FatalError, RejectedError
from core.model.identifiers import parse_chain
from core.runtime.files import locked, read_small, replace_file
from relayer.keys.keystore import (
    KEY_BYTES,
    Keystore,
    check_passphrase,
    new_key,
    read_keystore,
    read_passphrase,
    write_keystore,
)

MAX_NAME_CHARS: Final = 64
MAX_SEED_FILE_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Passphrase:
    """The source of a keystore's passphrase: `file`, or the variable, or a prompt if somebody sits there.

    `new`: it is chosen now, so a prompt asks twice and a short one is refused.
    """

    file: Path | None
    variable: str
    new: bool = False

    def read(self) -> str:
        """Raise `FatalError` if none can be had, `RejectedError` for one that is too short to choose."""
        try:
            found = read_passphrase(self.file, self.variable)
        except FatalError:
            if self.file is not None or not sys.stdin.isatty():
                raise
            return ask_new("Passphrase") if self.new else getpass.getpass("Passphrase of the keystore: ")
        if self.new:
            check_passphrase(found)
        return found


def ask_new(what: str) -> str:
    """Return a passphrase that was typed twice. Raise `RejectedError`, or `FatalError` if nobody can be asked."""
    if not sys.stdin.isatty():
        raise FatalError("there is no terminal to ask for a new passphrase at: name a file with it")
    typed = getpass.getpass(f"{what}: ")
    check_passphrase(typed)
    if typed != getpass.getpass("Once more: "):
        raise RejectedError("the two differ: nothing was changed")
    return typed


def add_fresh(path: Path, names: Iterable[str], passphrase: Passphrase) -> list[str]:
    """Return the names of the keys that were made. Raise as `_add`."""
    wanted = list(names)
    if len(set(wanted)) != len(wanted):
        raise RejectedError("a name is given twice: give each key a name of its own")
    _add(path, {name: new_key() for name in wanted}, passphrase)
    return wanted


def complete(path: Path, names: Sequence[str], passphrase: Passphrase) -> dict[str, dict[str, str]]:
    """Make those of the keys that are missing, and return the addresses of all of them by name. Raise as `_add`."""
    made = completed(path, names, passphrase)
    return {name: _addresses(made.key(name).expose()) for name in names}


def completed(path: Path, names: Sequence[str], passphrase: Passphrase) -> Keystore:
    """Make those of the keys that are missing, and return the keystore. Raise as `_add`."""
    with locked(path, "wait until it has ended"):
        opened_by = passphrase.read()
        keys = read_keystore(path, opened_by) if path.exists() else Keystore({})
        fresh = {name: new_key() for name in names if name not in keys.names()}
        if fresh:
            write_keystore(path, opened_by, _raw(keys) | fresh)
        return read_keystore(path, opened_by)


def list_keys(path: Path, passphrase: Passphrase) -> list[dict[str, str]]:
    """Return name, Ethereum address and consortium address of each key. Raise as `read_keystore`."""
    keys = read_keystore(path, passphrase.read())
    return [{"name": name, **_addresses(keys.key(name).expose())} for name in keys.names()]


def addresses(path: Path, name: str, passphrase: Passphrase) -> dict[str, str]:
    """Return the addresses of one key. Raise as `read_keystore`, or `NotFoundError`."""
    return _addresses(read_keystore(path, passphrase.read()).key(name).expose())


def account_of(path: Path, name: str, chain: str, passphrase: Passphrase) -> str:
    """Return the CAIP-10 account of one key on a chain. Raise `RejectedError` for a chain of neither kind."""
    kind = {"eip155": "ethereum", "causeway": "consortium"}.get(parse_chain(chain).partition(":")[0])
    if kind is None:
        raise RejectedError(f"no keys are known for {chain}: name an eip155 or a causeway chain")
    return f"{chain}:{addresses(path, name, passphrase)[kind]}"


def import_ethereum(path: Path, name: str, source: Path, foreign: Path | None, passphrase: Passphrase) -> str:
    """Return the Ethereum address of the key in another program's file. Raise as `keystore_key`, `_add`."""
    if foreign is None and not sys.stdin.isatty():
        raise FatalError("there is no terminal to ask for the key file's passphrase at: add --from-passphrase-file")
    opened_by = getpass.getpass(f"Passphrase of {source}: ") if foreign is None else read_passphrase(foreign)
    key = keystore_key(source, opened_by)
    _add(path, {name: key}, passphrase)
    return _addresses(key)["ethereum"]


def import_seed(path: Path, name: str, source: Path, passphrase: Passphrase) -> str:
    """Return both addresses, joined. `source`: a file with 64 hexadecimal digits; - asks for them. Raise as `_add`."""
    if str(source) == "-":
        text = getpass.getpass("The key, 64 hexadecimal digits: ") if sys.stdin.isatty() else sys.stdin.read(256)
    else:
        text = read_small(source, MAX_SEED_FILE_BYTES, "the key's file").decode(errors="replace")
    try:
        key = bytes.fromhex(text.strip().removeprefix("0x"))
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise RejectedError(f"the key is not {KEY_BYTES} bytes in hexadecimal digits")
    _add(path, {name: key}, passphrase)
    found = _addresses(key)
    return f"Ethereum {found['ethereum']}, consortium {found['consortium']}"


def import_operator(path: Path, name: str, source: Path, passphrase: Passphrase) -> str:
    """Return the consortium address of a validator operator's key. Raise as `load_operator_key`, `_add`."""
    from local_chains.consortium.node import load_operator_key

    key = load_operator_key(source).seed
    _add(path, {name: key}, passphrase)
    return _addresses(key)["consortium"]


def export_key(
    path: Path, name: str, out: Path, passphrase: Passphrase, foreign: Path | None, *, bare: bool = False
) -> None:
    """Write one key to `out` (0600): an Ethereum key file, or `bare` in hexadecimal digits.

    Raise `ConflictError` if `out` exists, or as `read_keystore`, `encode_keystore`.
    """
    key = read_keystore(path, passphrase.read()).key(name).expose()
    with locked(out, "name another file"):
        if out.exists():
            raise ConflictError(f"{out} exists already: name another file")
        if bare:
            contents = key.hex().encode() + b"\n"
        else:
            protected_by = ask_new("Passphrase of the new file") if foreign is None else read_passphrase(foreign)
            check_passphrase(protected_by)
            contents = encode_keystore(key, protected_by)
        replace_file(out, contents)


def change_passphrase(path: Path, passphrase: Passphrase, new_file: Path | None) -> None:
    """Raise as `read_keystore`, `write_keystore`."""
    with locked(path, "wait until it has ended"):
        keys = read_keystore(path, passphrase.read())
        new = ask_new("New passphrase") if new_file is None else read_passphrase(new_file)
        write_keystore(path, new, _raw(keys))


def remove_key(path: Path, name: str, passphrase: Passphrase) -> None:
    """Raise as `read_keystore`, or `NotFoundError`."""
    with locked(path, "wait until it has ended"):
        opened_by = passphrase.read()
        keys = read_keystore(path, opened_by)
        keys.key(name)
        write_keystore(path, opened_by, {one: raw for one, raw in _raw(keys).items() if one != name})


def _add(path: Path, added: Mapping[str, bytes], passphrase: Passphrase) -> None:
    """Raise `ConflictError` for a name that is taken, `RejectedError` for an invalid one, or as `write_keystore`."""
    for name in added:
        if not name.isprintable() or not 0 < len(name) <= MAX_NAME_CHARS or name != name.strip():
            raise RejectedError(f"{name[:80]!r} is not a name for a key: 1 to {MAX_NAME_CHARS} printable characters")
    with locked(path, "wait until it has ended"):
        opened_by = passphrase.read()
        keys = read_keystore(path, opened_by) if path.exists() else Keystore({})
        taken = sorted(set(keys.names()) & set(added))
        if taken:
            raise ConflictError(f"{path} has a key called {taken[0]!r} already: choose another name")
        write_keystore(path, opened_by, _raw(keys) | dict(added))


def _raw(keys: Keystore) -> dict[str, bytes]:
    return {name: keys.key(name).expose() for name in keys.names()}


def _addresses(key: bytes) -> dict[str, str]:
    """Return the key's address as secp256k1 key (EIP-55; `-` if the number is not one) and as ed25519 key."""
    try:
        ethereum = "0x" + checksummed(address_of_key(PrivateKey(key).public_key).hex())
    except ValueError:
        ethereum = "-"
    return {"ethereum": ethereum, "consortium": consortium.address(bytes(SigningKey(key).verify_key)).hex()}
