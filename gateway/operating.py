"""The operator's console: `causeway relayer console` serves pages about one relayer on this machine.

As the commands of `causeway relayer` do, it works through the relayer's database and configuration, whether the relayer
runs or not; the relayer itself has no port for its operator.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from console.application import operator_console
from core.model.errors import RejectedError
from core.model.identifiers import parse_asset
from core.model.types import Asset, AssetId
from core.runtime.clock import SystemClock, SystemSecrets
from core.runtime.metrics import Metrics
from core.runtime.version import VERSION
from core.runtime.web import build_application, serve
from gateway import doctor, swaps, switches, treasury, wiring
from gateway.config import RelayerConfig
from gateway.daemons.parts import database_exists, existing_database, opened_database
from gateway.fees import FeeBook
from relayer.inventory import Promise
from relayer.provider.exposures import Exposure, exposures
from relayer.pump import promises
from relayer.switches import EVERYTHING, Cause

TOKEN_BYTES: Final = 24
TRANSACTIONS_SHOWN: Final = 100
COUNTERPARTIES_SHOWN: Final = 10
WINDOWS_SHOWN: Final = 3
LOCAL: Final = "127.0.0.1"


class RelayerOperations:
    """`console.operator.Operations` over a configuration. One look at a time asks chains: they take connections."""

    def __init__(self, config: RelayerConfig, base: Path) -> None:
        self._config = config
        self._base = base
        self._place = swaps.Place.of(config, base)
        self._alone = asyncio.Lock()
        self._book = FeeBook()

    async def status(self) -> dict[str, Any]:
        return await switches.collect_status(self._config, self._base)

    async def swaps(self, ended: bool) -> list[dict[str, Any]]:
        return await swaps.listed(self._place, time.time(), ended=ended)

    async def swap(self, name: str) -> dict[str, Any]:
        return await swaps.shown(self._place, name, time.time())

    async def transactions(self, chain: str | None) -> list[dict[str, Any]]:
        return await swaps.transactions(self._place, TRANSACTIONS_SHOWN, chain)

    async def money(self) -> dict[str, Any]:
        async with self._alone:
            seen = await treasury.look(self._config, self._base)
        shown = treasury.seen_to_json(seen)
        named = {asset.id: asset for one in seen.accounts for asset in one.assets}
        for account in shown["accounts"]:
            for balance in account["balances"]:
                balance["decimals"] = named[balance["asset"]].decimals
        return {**shown, "exposure": await self._exposure(named)}

    async def fees(self) -> list[dict[str, Any]]:
        async with (
            self._alone,
            wiring.connected(self._config.chains) as chains,
            existing_database(self._config.database, self._base) as database,
        ):
            readers = {chain: one.access.fees for chain, one in chains.items() if one.access.fees is not None}
            found = await self._book.look(database, readers, time.time_ns())
            named = {asset.id: asset for one in chains.values() for asset in one.access.parameters.assets.values()}
        return [{**asdict(one), **_called(named, one.asset)} for one in found]

    async def _exposure(self, named: Mapping[AssetId, Asset]) -> list[dict[str, Any]]:
        promised: list[Promise] = []
        if database_exists(self._config.database, self._base):
            async with opened_database(self._config.database, self._base) as database:
                promised = await database.read(promises.of_open_swaps)
        policy = wiring.relayer_policy(self._config)
        offered = {parse_asset(pair.get) for pair in self._config.pairs}
        return [
            {**exposed(one), **_called(named, one.asset)}
            for one in exposures(promised, policy, time.time_ns(), offered)
        ]

    async def findings(self) -> list[dict[str, str]]:
        async with self._alone:
            found = await doctor.examine(self._config, self._base)
        return [
            {"level": one.level.value, "about": one.about, "sentence": one.sentence, "remedy": one.remedy}
            for one in found
        ]

    async def pause(self, scope: str, reason: str, drain: bool) -> None:
        cause = Cause.DRAIN if drain else Cause.OPERATOR
        where = EVERYTHING if drain else switches.scope_of(self._config, [scope] if scope else [])
        await switches.put(self._config, self._base, where, cause, reason, None)

    async def resume(self, scope: str) -> None:
        where = switches.scope_of(self._config, [scope]) if scope else None
        await switches.lifted(self._config, self._base, where)


def exposed(one: Exposure) -> dict[str, Any]:
    """Return what is promised of one asset next to its limits, each with the share of the limit in percent, at most
    100; `limit` and `share` are None without one."""
    standing, limit = one.standing, one.limit
    return {
        "asset": one.asset,
        "swaps": standing.swaps,
        "locked": standing.locked,
        "limited": limit is not None,
        "all": _beside(standing.total, None if limit is None else limit.total),
        "counterparties": [
            {"account": account, **_beside(amount, None if limit is None else limit.per_counterparty)}
            for account, amount in standing.counterparties[:COUNTERPARTIES_SHOWN]
        ],
        "more_counterparties": max(0, len(standing.counterparties) - COUNTERPARTIES_SHOWN),
        "windows": [
            {
                "from_s": from_s,
                "until_s": from_s + one.window_s,
                **_beside(amount, None if limit is None else limit.per_window),
            }
            for from_s, amount in standing.windows[:WINDOWS_SHOWN]
        ],
    }


def _beside(amount: int, limit: int | None) -> dict[str, int | None]:
    if limit is None:
        return {"promised": amount, "limit": None, "left": None, "share": None}
    share = 100 if amount >= limit else 100 * amount // limit
    return {"promised": amount, "limit": limit, "left": max(0, limit - amount), "share": share}


def _called(named: Mapping[AssetId, Asset], asset: AssetId) -> dict[str, Any]:
    """An asset that no chain shows is written in base units."""
    known = named.get(asset)
    return {"symbol": None if known is None else known.symbol, "decimals": None if known is None else known.decimals}


@asynccontextmanager
async def served(config: RelayerConfig, base: Path, port: int) -> AsyncIterator[str]:
    """Serve the console on this machine alone while the block runs; gives the address that lets its holder in.

    Raise `FatalError` if the port is taken, `RejectedError` if the console's scripts are not built.
    """
    secrets, clock = SystemSecrets(), SystemClock()
    token = secrets.token_bytes(TOKEN_BYTES).hex()
    pages = operator_console(RelayerOperations(config, base), clock, secrets, name=config.name, admits=_admits(token))
    app = build_application([], title=f"{config.name}: console", version=VERSION, metrics=Metrics(), clock=clock)
    app.add_subapp("/console", pages)
    async with serve(app, LOCAL, port) as url:
        yield f"{url}/console/enter?token={token}"


def _admits(token: str) -> Callable[[web.Request], bool]:
    def admits(request: web.Request) -> bool:
        # A page of elsewhere that knows our port does not know our name: no rebinding of names (DNS) comes in.
        host = request.host.rsplit(":", 1)[0]
        given = request.query.get("token", "").encode("utf-8", "replace")
        return host == LOCAL and hmac.compare_digest(token.encode(), given)

    return admits


async def stay(config: RelayerConfig, base: Path, port: int, shown: Callable[[str], None]) -> None:
    """Serve until cancelled; `shown` hears the address."""
    if not 0 <= port < 65_536:
        raise RejectedError(f"{port} is not a port: write 0 (any free one) to 65535")
    async with served(config, base, port) as address:
        shown(address)
        await asyncio.Event().wait()
