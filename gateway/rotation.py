"""`causeway relayer rotate`: another key opens swaps on a chain, and the former one ends those that it began.

The configuration's file says so, and a relayer that runs takes it in with its next reload. See ADR 14.
"""

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.model.identifiers import parse_account
from core.model.types import AccountId
from core.runtime.files import locked, replace_file
from gateway import keyring, treasury
from gateway.config import AccountConfig, RelayerConfig, editing, load
from gateway.config.chains import EVM
from gateway.daemons.parts import database_exists, opened_database
from gateway.keyring import Passphrase
from relayer.retirements import Left, left_to_do

_NUMBERED: Final = re.compile(r"(.*)-(\d+)")


@dataclass(frozen=True, slots=True)
class Successor:
    """Who acts on a chain from now on: a key of the keystore, made if it is not there, or a signer on another machine.
    With neither, a fresh key under the former one's name and the next number."""

    key: str | None = None
    signer: str | None = None
    address: str | None = None
    dialect: str | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """The accounts of a chain: the one that opens swaps now, and the one that it follows."""

    account: AccountId
    former: AccountId
    key: str


def rotate(path: Path, chain_name: str, wanted: Successor) -> Rotation:
    """Write the change into the configuration at `path`.

    Raise `RejectedError` for a chain without an account, an account that is in use already, and a file that cannot be
    changed here; nothing is written then but a fresh key.
    """
    with locked(path, "wait until it has ended"):
        config = load(path, RelayerConfig)
        chain = treasury.of_chain(config, chain_name)
        number = next((at for at, one in enumerate(config.accounts) if one.chain == chain), None)
        if number is None:
            raise RejectedError(f"there is no account on {chain} to rotate: add [[accounts]]")
        former = config.accounts[number]
        made = _made(config, path.parent, former, wanted)
        account, before = account_of(config, path.parent, made), account_of(config, path.parent, former)
        taken = [before, *(account_of(config, path.parent, one) for one in config.retiring if one.chain == chain)]
        if account in taken:
            raise RejectedError(f"{account} is the account that is in use, or retires, already: name another key")
        _replace(path, editing.rotated(_text(path), number, _table(made)))
    return Rotation(account, before, made.key)


async def finish(path: Path, chain_name: str) -> list[AccountId]:
    """Take the former accounts of a chain out of the configuration at `path`, and return them.

    Raise `ConflictError` while one of them has something left to do, `NotFoundError` if there is none.
    """
    with locked(path, "wait until it has ended"):
        config = load(path, RelayerConfig)
        chain = treasury.of_chain(config, chain_name)
        numbers = [at for at, one in enumerate(config.retiring) if one.chain == chain]
        if not numbers:
            raise NotFoundError(f"no account on {chain} retires: causeway relayer rotate begins it")
        accounts = [account_of(config, path.parent, config.retiring[at]) for at in numbers]
        for account in accounts:
            if (left := await _left(config, path.parent, account)).total:
                raise ConflictError(f"{account} has {left} left: wait for them, or look with causeway relayer balance")
        text = _text(path)
        for number in reversed(numbers):
            text = editing.without_retiring(text, number)
        _replace(path, text)
    return accounts


def former_accounts(config: RelayerConfig, base: Path, chain_name: str) -> list[AccountId]:
    """Return the accounts that retire on a chain. Raise `RejectedError` for a keystore that does not open."""
    chain = treasury.of_chain(config, chain_name)
    return [account_of(config, base, one) for one in config.retiring if one.chain == chain]


def account_of(config: RelayerConfig, base: Path, one: AccountConfig) -> AccountId:
    """Return the account (CAIP-10) of a configured one, without asking its chain."""
    if one.address is not None:
        return parse_account(one.address)
    passphrase = Passphrase(None, config.passphrase_env)
    return parse_account(keyring.account_of(base / config.keystore, one.key, one.chain, passphrase))


def _made(config: RelayerConfig, base: Path, former: AccountConfig, wanted: Successor) -> AccountConfig:
    if wanted.signer is not None or wanted.address is not None:
        if wanted.key is not None or wanted.signer is None or wanted.address is None:
            raise RejectedError("name a key, or a signer and an address")
        if next(one.kind for one in config.chains if one.id == former.chain) != EVM:
            raise RejectedError(f"another machine signs on EVM chains only, not on {former.chain}: name a key")
        dialect: Any = wanted.dialect or "web3signer"
        return AccountConfig(
            former.chain, signer=wanted.signer, address=wanted.address, dialect=dialect, max_take=former.max_take
        )
    key = wanted.key or _next_name(former.key or former.chain.partition(":")[0])
    keyring.complete(base / config.keystore, [key], Passphrase(None, config.passphrase_env))
    return AccountConfig(former.chain, key, max_take=former.max_take)


def _next_name(name: str) -> str:
    found = _NUMBERED.fullmatch(name)
    return f"{name}-2" if found is None else f"{found[1]}-{int(found[2]) + 1}"


def _table(account: AccountConfig) -> dict[str, Any]:
    """Return the members that say something, as TOML has them."""
    shown: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(account))
    usual = {one.name: one.default for one in msgspec.structs.fields(AccountConfig)}
    return {name: value for name, value in shown.items() if value and value != usual[name]}


async def _left(config: RelayerConfig, base: Path, account: AccountId) -> Left:
    if not database_exists(config.database, base):
        return Left(0, 0, 0)
    async with opened_database(config.database, base) as database:
        return await database.read(lambda c: left_to_do(c, account))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _replace(path: Path, text: str) -> None:
    """Write the file, once it loads as it stands, with the owner and the rights that it has: the daemon's user reads
    it. Raise `RejectedError` with what is wrong with it."""
    before = path.stat()
    mode = stat.S_IMODE(before.st_mode)
    draft = path.with_name(f".{path.name}.draft")
    try:
        replace_file(draft, text.encode(), mode)
        load(draft, RelayerConfig)
        replace_file(path, text.encode(), mode)
        with suppress(PermissionError):
            os.chown(path, before.st_uid, before.st_gid)
    finally:
        draft.unlink(missing_ok=True)
