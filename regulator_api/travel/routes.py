"""`/v1/travel-rule`: institutions state who sends to whom; identities are masked for who may not see personal data."""

import base64
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_account, parse_chain
from core.model.types import chain_of
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import CALLER, PageCursors, PageQuery, Route, read_body, read_query, respond
from regulator_api.access.scope import SCOPE
from regulator_api.auditing import require_purpose
from regulator_api.knowledge import store
from regulator_api.requests import Hash32, Identifier
from regulator_api.travel.ivms101 import IdentityPayload, check_payload
from regulator_api.travel.records import TravelRecord, Vault, read_records, store_record

PROBLEMS: Final = (
    (404, "There is no such record."),
    (409, "There are too many of them, or none can be taken here."),
    (422, "A value is not in its form, or the identities do not fulfil IVMS101."),
    (503, "The database is locked: try again."),
)


class TravelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The identities (IVMS101) behind one transfer. `receiver_key`: the X25519 public key of the receiving institution,
    for which a second copy is sealed."""

    chain: Identifier
    tx_hash: Hash32
    originator_account: Identifier
    beneficiary_account: Identifier
    identities: IdentityPayload
    receiver_key: Hash32 | None = None


class TravelQuery(PageQuery, frozen=True, kw_only=True):
    account: Identifier | None = None
    transfer: Identifier | None = None


class TravelView(msgspec.Struct, frozen=True, kw_only=True):
    """`transfer` is `<chain>:<transaction hash>`. `persons` says as much as anybody may see. `sealed_for_receiver` is
    base64: a box of libsodium that the receiving institution opens."""

    id: int
    transfer: str
    originator_account: str
    beneficiary_account: str
    reporter: str
    time_ns: str
    persons: dict[str, list[str]]
    sealed_for_receiver: str | None


class TravelPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[TravelView]
    next: str | None


class TravelIdentities(msgspec.Struct, frozen=True, kw_only=True):
    """A record with its identities, for who may see personal data."""

    record: TravelView
    identities: dict[str, Any]


class TravelMade(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    transfer: str


class TravelRules:
    """Takes and shows records. Without a vault none can be taken: there is no key to seal them with."""

    def __init__(self, database: Database, clock: Clock, cursors: PageCursors, vault: Vault | None) -> None:
        self._database = database
        self._clock = clock
        self._cursors = cursors
        self._vault = vault

    async def post(self, request: web.Request) -> web.Response:
        body = await read_body(request, TravelBody)
        vault = self._opened()
        chain = parse_chain(body.chain)
        accounts = [parse_account(one) for one in (body.originator_account, body.beneficiary_account)]
        check_payload(body.identities, datetime.fromtimestamp(self._clock.now(), UTC).date())
        if chain_of(accounts[0]) != chain and chain_of(accounts[1]) != chain:
            raise RejectedError(f"neither account is on {chain}, on which the transfer is")
        transfer = f"{chain}:{body.tx_hash[-64:].lower()}"
        receiver = None if body.receiver_key is None else bytes.fromhex(body.receiver_key[-64:])
        reporter, now_ns = request[CALLER].name, self._clock.now_ns()
        made = await self._database.write(
            lambda connection: store_record(
                connection,
                transfer,
                accounts[0],
                accounts[1],
                body.identities,
                vault.public_key,
                receiver,
                reporter=reporter,
                now_ns=now_ns,
            )
        )
        return respond(TravelMade(id=made, transfer=transfer), status=201)

    async def get(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, TravelQuery), request[SCOPE]
        account = None if query.account is None else parse_account(query.account)
        listing = f"travel {account} {query.transfer} {scope.shown}"
        sealed = self._cursors.open(listing, query.cursor)
        before = None if sealed is None else int(sealed[0])

        def read(connection: Connection) -> list[TravelRecord]:
            known_ns = store.latest(connection)[1]
            return read_records(
                connection, scope, known_ns, query.limit + 1, before, transfer=query.transfer, account=account
            )

        found = await self._database.read(read)
        page = self._cursors.page(listing, found, query.limit, lambda record: (record.id,))
        return respond(TravelPage(items=[_view(record) for record in page.items], next=page.next))

    async def get_identities(self, request: web.Request) -> web.Response:
        require_purpose(request)
        vault, scope, number = self._opened(), request[SCOPE], int(request.match_info["id"])

        def read(connection: Connection) -> list[TravelRecord]:
            return read_records(connection, scope, store.latest(connection)[1], 1, only=number)

        found = await self._database.read(read)
        if not found:
            raise NotFoundError("there is no such record", id=number)
        identities = msgspec.to_builtins(vault.open(found[0].sealed))
        return respond(TravelIdentities(record=_view(found[0]), identities=identities))

    def _opened(self) -> Vault:
        if self._vault is None:
            raise RejectedError("this supervision has no key to seal identities with: the operator adds [signing]")
        return self._vault


def routes(rules: TravelRules) -> list[Route]:
    """Statements of institutions, their masked view, and the identities for who may see personal data."""
    return [
        Route(
            "POST",
            "/v1/travel-rule",
            rules.post,
            "State the identities behind a transfer",
            body=TravelBody,
            answer=TravelMade,
            status=201,
            scope="report",
            problems=PROBLEMS,
            tag="travel rule",
            idempotent=True,
        ),
        Route(
            "GET",
            "/v1/travel-rule",
            rules.get,
            "Travel-rule records, newest first, masked",
            query=TravelQuery,
            answer=TravelPage,
            scope="read",
            problems=PROBLEMS,
            tag="travel rule",
        ),
        Route(
            "GET",
            "/v1/travel-rule/{id:[0-9]{1,18}}/identities",
            rules.get_identities,
            "The identities of one record; X-Purpose and X-Case say why",
            answer=TravelIdentities,
            scope="personal",
            problems=((403, "No purpose or case is stated, or the scope personal is missing."), *PROBLEMS),
            tag="travel rule",
        ),
    ]


def _view(record: TravelRecord) -> TravelView:
    copy = record.sealed_for_receiver
    return TravelView(
        id=record.id,
        transfer=record.transfer,
        originator_account=record.originator,
        beneficiary_account=record.beneficiary,
        reporter=record.reporter,
        time_ns=str(record.time_ns),
        persons=record.masked,
        sealed_for_receiver=None if copy is None else base64.b64encode(copy).decode(),
    )
