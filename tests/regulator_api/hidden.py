"""A supervised world whose swap belongs to one jurisdiction, and a caller of another: questions about what is hidden
from that caller, each next to the same question about what never was."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from sqlalchemy.engine import Connection

from core.runtime.clock import ManualClock
from core.runtime.database import Database
from regulator_api.knowledge.store import import_list, parsed_entity, state_entity, state_own
from regulator_api.knowledge.tags import Statement
from regulator_api.service import SupervisedChain
from tests.indexer.world import A, B, World
from tests.regulator_api.api import Api, prepare, serving
from tests.regulator_api.test_api import claimed_swap

Pair = tuple[str, str]
"""The path of something hidden, and of something that never was."""
CALLER = "spy"
"""Has every scope, and sees Switzerland alone."""


@asynccontextmanager
async def hiding(database: Database, members: int) -> AsyncIterator[tuple[Api, list[Pair]]]:
    """Serve a world with a French swap. `members`: accounts that belong to each of both countries."""
    await prepare(database)
    world = World(database, ManualClock())
    await world.open()
    chains = [SupervisedChain(world.access(chain).parameters, None, world.access(chain).state) for chain in (A, B)]
    async with serving(database, chains, world.clock) as api:
        deal = await claimed_swap(world, api)
        await world.finalize()
        parties = {one for leg in (deal.initiator, deal.participant) for one in (leg.sender, leg.receiver)}

        def write(connection: Connection) -> None:
            said = {"sha256": bytes(32), "who": "a test", "now_ns": world.clock.now_ns()}
            crowd = [
                statement(f"{A}:{country.lower()}{number:06x}", country, f"{country.lower()}-{number % 20}")
                for number in range(members)
                for country in ("CH", "FR")
            ]
            import_list(connection, "crowd", "tags", crowd, published_s=0, **said)  # type: ignore[arg-type]
            for party in sorted(parties):
                state_own(connection, statement(party, "FR", "hidden"), **said)  # type: ignore[arg-type]
            state_entity(connection, parsed_entity("hidden", "Hidden", "FR", None), **said)  # type: ignore[arg-type]

        await database.write(write)
        tx = (await api.get("/v1/transfers", "developer"))["items"][0]["placed"]["tx_hash"]
        yield api, pairs(deal.initiator.sender, deal.initiator.asset, deal.initiator.hashlock.hex(), tx)


def statement(subject: str, country: str, entity: str) -> Statement:
    return Statement(
        subject=subject,  # type: ignore[arg-type]
        label="somebody",
        category="exchange",
        source="a test",
        confidence=90,
        valid_from_s=0,
        jurisdiction=country,
        entity=entity,
    )


def pairs(account: str, asset: str, hashlock: str, tx: str) -> list[Pair]:
    hidden, absent = quote(account, safe=""), quote(f"{A}:{'0' * len(account.split(':')[-1])}", safe="")
    none, of = "ab" * 32, quote(asset, safe="")
    return [
        ("/v1/swaps/swap-1", "/v1/swaps/swap-9"),
        ("/v1/swaps/swap-1/evidence", "/v1/swaps/swap-9/evidence"),
        (f"/v1/swaps?hashlock={hashlock}", f"/v1/swaps?hashlock={none}"),
        *(
            (path.format(hidden), path.format(absent))
            for path in (
                "/v1/accounts/{}",
                "/v1/accounts/{}/moves",
                "/v1/accounts/{}/counterparties",
                f"/v1/accounts/{{}}/evidence?asset={of}",
                "/v1/accounts/{}/locks/evidence",
                "/v1/transfers?account={}",
                "/v1/swaps?account={}",
                "/v1/tags?account={}",
                "/v1/alerts?subject={}",
                "/v1/travel-rule?account={}",
                "/v1/search?q={}",
            )
        ),
        (f"/v1/transfers?tx={tx}", f"/v1/transfers?tx={none}"),
        (f"/v1/transfers/evidence?chain={A}&tx={tx}&log=0", f"/v1/transfers/evidence?chain={A}&tx={none}&log=0"),
        (f"/v1/search?q={account.split(':')[-1]}", f"/v1/search?q={'0' * len(account.split(':')[-1])}"),
        (f"/v1/search?q={hashlock}", f"/v1/search?q={none}"),
        (f"/v1/search?q={tx}", f"/v1/search?q={none}"),
        ("/v1/search?q=swap-1", "/v1/search?q=swap-9"),
        ("/v1/search?q=hidden", "/v1/search?q=absent"),
        ("/v1/tags?entity=hidden", "/v1/tags?entity=absent"),
        ("/v1/alerts?subject=hidden", "/v1/alerts?subject=absent"),
        ("/v1/entities/hidden", "/v1/entities/absent"),
        ("/v1/entities/hidden/holdings", "/v1/entities/absent/holdings"),
    ]
