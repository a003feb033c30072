"""`causeway relayer balance|send|withdraw|sweep`: an operator's money, seen and taken out by the relayer's own hand.

An order is a row in the relayer's database, sealed with its keystore. The running relayer takes it at its next look;
without one, `carry_out` does under the database's hold.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.identifiers import parse_account, parse_chain
from core.model.types import AccountId, Asset, ChainId, chain_of
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.database import Database
from core.runtime.metrics import Metrics
from core.runtime.supervisor import Supervisor, Worker
from gateway import wiring
from gateway.amounts import base_units, named_asset, readable
from gateway.config import RelayerConfig
from gateway.config.chains import NOBODY
from gateway.config.faults import choices
from gateway.daemons.life import run_until
from gateway.daemons.parts import database_exists, opened_database, sole_database
from indexer.feed import FactSignal
from relayer.metrics import RelayerMetrics
from relayer.pump.checks import Checks
from relayer.pump.wiring import Pump
from relayer.transactions import records
from relayer.treasury import orders, teller
from relayer.treasury.orders import Seal, Withdrawal
from relayer.treasury.teller import Purse, Teller

LOOK_S: Final = 1.0
MAX_WAIT_S: Final = 3_600.0
MAX_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Account:
    """One account of the relayer, with the assets that it may hold and what it holds. `retiring`: it only ends what it
    began."""

    account: AccountId
    assets: tuple[Asset, ...]
    purse: Purse
    retiring: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """The relayer's accounts with what they hold, and the newest withdrawals."""

    accounts: tuple[Account, ...]
    withdrawals: tuple[Withdrawal, ...]

    def asset(self, name: str) -> Asset:
        """Return what is called so; accounts of one chain may hold the same. Raise what `named_asset` raises."""
        return named_asset(list({asset.id: asset for one in self.accounts for asset in one.assets}.values()), name)

    def present(self, chain: ChainId) -> Account:
        """Return our account on a chain that opens swaps."""
        return next(one for one in self.accounts if chain_of(one.account) == chain and not one.retiring)


async def look(config: RelayerConfig, base: Path) -> Seen:
    """Return what the relayer holds and what of it is free; for display.

    Raise `RejectedError` for a keystore that does not open, `RetryableError` while a chain is silent.
    """
    keys = wiring.open_keystore(config, base)
    async with wiring.connected(config.chains) as chains:
        accounts = {chain: one.account for chain, one in wiring.signers(config, chains, keys).items()}
        former = [one.account for one in wiring.retiring_signers(config, chains, keys)]
        access = {chain: connected.access for chain, connected in chains.items()}
        clock = SystemClock()

        async def read(database: Database | None) -> Seen:
            checks = Checks(database or _Nothing(), access, accounts, wiring.relayer_policy(config), clock)

            async def one(account: AccountId, retiring: bool) -> Account:
                assets = tuple(access[chain_of(account)].parameters.assets.values())
                ids = [asset.id for asset in assets]
                purse = await teller.look(database, checks, account, ids, clock.now_ns(), retiring)
                return Account(account, assets, purse, retiring)

            found = [await one(account, False) for account in accounts.values()]
            found += [await one(account, True) for account in former]
            newest = [] if database is None else await database.read(lambda c: orders.newest(c, MAX_SHOWN))
            return Seen(tuple(found), tuple(newest))

        if not database_exists(config.database, base):
            return await read(None)
        async with opened_database(config.database, base) as database:
            return await read(database)


class _Nothing:
    """The database of a relayer that never ran: nothing of it is asked for what `look` needs."""

    async def read(self, work: Callable[..., Any]) -> Any:
        raise NotFoundError("no relayer has run with this configuration")

    write = read

    async def close(self) -> None:
        return None


def order(
    seen: Seen,
    config: RelayerConfig,
    asset: Asset,
    amount: str | None,
    receiver: AccountId,
    within_s: int,
    payer: Account | None = None,
) -> Withdrawal:
    """Return an order for `amount` (such as 0.5), or for all that is free, as the configuration allows it.

    `payer`: which account of ours pays, None for the one that opens swaps; one that retires may pay that one. Raise
    `RejectedError` for what is not allowed, not free, or not an amount.
    """
    present = seen.present(chain_of(asset.id))
    payer = payer or present
    allowed = [parse_account(one.account) for one in config.treasury.destinations]
    if allowed and receiver not in allowed and not (payer.retiring and receiver == present.account):
        raise RejectedError(
            f"{receiver} is not among [[treasury.destinations]]: pay one of {', '.join(allowed)}, or add it to the file"
        )
    units, free = None if amount is None else base_units(asset, amount), payer.purse.free(asset.id)
    if free < (units or 1):
        raise RejectedError(
            f"{readable(asset, free)} are free; {readable(asset, payer.purse.held[asset.id])} are held, and the rest "
            "is kept for open swaps, and for the gas of their exits and one more"
        )
    now_ns = SystemClock().now_ns()
    return orders.new_order(SystemSecrets(), payer.account, receiver, asset.id, units, now_ns, within_s)


def destination(config: RelayerConfig, chain: ChainId, name: str | None) -> AccountId:
    """Return the configured account that withdrawals from a chain go to. Raise `RejectedError` for none and several."""
    there = [one for one in config.treasury.destinations if chain_of(parse_account(one.account)) == chain]
    found = [one for one in there if name in (None, one.name)]
    if len(found) == 1:
        return parse_account(found[0].account)
    names = ", ".join(one.name for one in there)
    if not there:
        raise RejectedError(
            f"there is no destination on {chain}: add [[treasury.destinations]], or use `causeway relayer send`"
        )
    raise RejectedError(f"{len(found)} destinations on {chain} are {name or 'possible'}: name one of {names} with --to")


def parse_receiver(text: str, chain: ChainId) -> AccountId:
    """Return the account that is written as CAIP-10, or as an address of this chain. Raise `RejectedError`."""
    account = parse_account(text if text.startswith(f"{chain.partition(':')[0]}:") else f"{chain}:{text}")
    if chain_of(account) != chain:
        raise RejectedError(f"{text} is not an account on {chain}")
    if account.endswith(NOBODY):
        raise RejectedError(f"{account} is nobody's account: what is paid to it is lost")
    return account


async def place(config: RelayerConfig, base: Path, placed: Sequence[Withdrawal]) -> None:
    """Write the orders, all or none, sealed with the keystore. Raise what `orders.write` raises."""
    seal = wiring.seal(config, wiring.open_keystore(config, base))
    async with opened_database(config.database, base) as database:
        await _write(database, seal, placed)


async def _write(database: Database, seal: Seal, placed: Sequence[Withdrawal]) -> None:
    def write(connection: Connection) -> None:
        for one in placed:
            orders.write(connection, one, seal.of(one))

    await database.write(write)


async def ended(config: RelayerConfig, base: Path, ids: Sequence[str]) -> list[Withdrawal]:
    """Wait until these orders have ended, and return them. Raise `RetryableError` after `MAX_WAIT_S`."""
    async with opened_database(config.database, base) as database:
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                return await _ended(database, ids)
        except TimeoutError:
            raise RetryableError(
                "the withdrawals are still on their way: look with `causeway relayer balance`"
            ) from None


async def _ended(database: Database, ids: Sequence[str]) -> list[Withdrawal]:
    while True:
        found = await database.read(lambda c: orders.find(c, ids))
        if all(one.status.ended for one in found):
            return found
        await asyncio.sleep(LOOK_S)


async def carry_out(config: RelayerConfig, base: Path, placed: Sequence[Withdrawal]) -> list[Withdrawal]:
    """Write the orders and carry them out here, since no relayer runs, and return them once they have ended.

    Only our transactions go out and are followed; no swap is opened, funded or claimed. Raise `ConflictError` if a
    relayer has the database, with nothing written; `RetryableError` after `MAX_WAIT_S`.
    """
    keys = wiring.open_keystore(config, base)
    clock, metrics = SystemClock(), Metrics()
    async with (
        sole_database(config.database, base) as own,
        wiring.connected(config.chains, metrics=metrics) as chains,
    ):
        access = {chain: connected.access for chain, connected in chains.items()}
        policy, measures = wiring.relayer_policy(config), RelayerMetrics(metrics)
        signers, former = wiring.signers(config, chains, keys), wiring.retiring_signers(config, chains, keys)
        pump = Pump(own.database, access, signers, policy, FactSignal(), clock, measures, retiring=former)
        allowed = wiring.treasury_policy(config, keys)
        await _write(own.database, wiring.seal(config, keys), placed)
        ids = [one.id for one in placed]
        window = Teller(own.database, access, pump.pipelines, pump.checks, allowed, clock, measures, pump.retiring)
        supervisor = Supervisor(clock, metrics)
        supervisor.add(*pump.account_workers(), Worker("treasury", window.run))
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await run_until(_ended(own.database, ids), supervisor.run(), own.keep())
        except TimeoutError:
            raise RetryableError(
                "the withdrawals are still on their way: run the relayer, which goes on with them"
            ) from None
        return await own.database.read(lambda c: orders.find(c, ids))


def of_chain(config: RelayerConfig, text: str | None) -> ChainId | None:
    """Return a chain that is named. Raise `RejectedError` for one that is not configured."""
    if text is None:
        return None
    chain = parse_chain(text)
    if chain not in (known := [one.id for one in config.chains]):
        raise RejectedError(f"{chain} is not a configured chain: {choices(chain, known)}")
    return chain


def seen_to_json(seen: Seen) -> dict[str, Any]:
    """As `--json` shows it: amounts are base units, as texts."""
    return {
        "accounts": [
            {
                "account": one.account,
                "retiring": one.retiring,
                "balances": [
                    {
                        "asset": asset.id,
                        "symbol": asset.symbol,
                        "held": str(one.purse.held[asset.id]),
                        "kept": str(one.purse.kept[asset.id]),
                        "free": str(one.purse.free(asset.id)),
                    }
                    for asset in one.assets
                ],
            }
            for one in seen.accounts
        ],
        "withdrawals": [order_to_json(one) for one in seen.withdrawals],
    }


def order_to_json(one: Withdrawal) -> dict[str, Any]:
    amount = one.amount if one.taken is None else one.taken
    return {
        "id": one.id,
        "status": one.status.value,
        "asset": one.asset,
        "base_units": None if amount is None else str(amount),
        "receiver": one.receiver,
        "reason": one.reason,
    }


async def transactions_of(config: RelayerConfig, base: Path, ids: Sequence[str]) -> dict[str, str]:
    """Return the hash of each order's transaction, in hex, for those that have one."""

    def read(connection: Connection) -> dict[str, str]:
        found = {one: records.by_effect(connection, f"{records.WITHDRAWAL_PREFIX}{one}") for one in ids}
        return {one: (record.tx_hash or record.newest.hash).hex() for one, record in found.items() if record}

    async with opened_database(config.database, base) as database:
        return await database.read(read)
