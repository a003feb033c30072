"""A supervision API over HTTP, on a database that followers fill from memory chains."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from core.runtime.clock import Clock, SeededSecrets
from core.runtime.database import METADATA, Database, create_schema
from core.runtime.metrics import Metrics
from core.runtime.web import KeyRing, issue_key, serve
from regulator_api.access.callers import RegulatorCallers, Tokens
from regulator_api.access.roles import ROLES
from regulator_api.application import create_app
from regulator_api.auditing import MAX_RECORDS_PER_DAY, Auditor
from regulator_api.service import RegulatorService, SupervisedChain
from regulator_api.signing import Signer
from regulator_api.travel.records import Vault

SCOPES = {
    "inspector": {"read", "trace"},
    "swiss": {"read", "trace"},
    "prover": {"read", "evidence"},
    "relayer-1": {"report"},
    "overseer": {"audit"},
    "confidant": {"read", "personal"},
    "librarian": {"read", "lists"},
    "officer": {"orders"},
    "analyst": {"read", "cases", "evidence", "rules"},
    "chief": {"read", "cases", "rules"},
    "swiss-analyst": {"read", "cases", "rules"},
    "developer": set(ROLES),
    "spy": set(ROLES),
}
JURISDICTIONS = {"swiss": frozenset({"CH"}), "swiss-analyst": frozenset({"CH"}), "spy": frozenset({"CH"})}
"""Callers that see some only."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    raw: bytes
    headers: Mapping[str, str]


class Api:
    """Asks as one of `SCOPES`, or as nobody."""

    def __init__(self, session: aiohttp.ClientSession, address: str, keys: dict[str, str]) -> None:
        self._session, self.address, self.keys = session, address, keys

    async def ask(
        self,
        path: str,
        who: str | None = "inspector",
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        **arguments: Any,
    ) -> Answer:
        sent = dict(headers or {})
        if who is not None:
            sent["X-API-Key"] = self.keys[who]
        url = URL(self.address + path, encoded=True)
        async with self._session.request(method, url, headers=sent, **arguments) as response:
            raw = await response.read()
            body = await response.json(content_type=None) if "json" in response.content_type else None
            return Answer(response.status, body, raw, response.headers)

    async def get(self, path: str, who: str = "inspector", **arguments: Any) -> Any:
        answer = await self.ask(path, who, **arguments)
        assert answer.status == 200, answer.body
        return answer.body


async def prepare(database: Database) -> None:
    def fresh(connection: Any) -> None:
        METADATA.drop_all(connection)
        create_schema(connection)

    await database.write(fresh)


@asynccontextmanager
async def serving(
    database: Database,
    chains: Iterable[SupervisedChain],
    clock: Clock,
    tokens: Tokens | None = None,
    signer: Signer | None = None,
    records_per_day: int = MAX_RECORDS_PER_DAY,
    vault: Vault | None = None,
    jurisdictions: Mapping[str, frozenset[str]] | None = None,
) -> AsyncIterator[Api]:
    secrets = SeededSecrets(1)
    issued = {name: issue_key(name, scopes, secrets) for name, scopes in SCOPES.items()}
    ring = KeyRing(key for _, key in issued.values())
    auditor = Auditor(database, clock, signer, records_per_day)
    await auditor.prepare()
    app = create_app(
        RegulatorService(database, chains, clock, secrets.token_bytes(32)),
        auditor,
        callers=RegulatorCallers(ring, clock, tokens, jurisdictions or JURISDICTIONS),
        metrics=Metrics(),
        clock=clock,
        version="0",
        signer=signer,
        vault=vault,
    )
    async with serve(app, "127.0.0.1", 0) as address, aiohttp.ClientSession() as session:
        yield Api(session, address, {name: text for name, (text, _) in issued.items()})
