"""`/v1/lists`, `/v1/tags` and `/v1/entities`."""

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_account
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.web import CALLER, Handler, PageCursors, Route, read_body, read_query, respond
from regulator_api.access.scope import SCOPE
from regulator_api.knowledge import bodies, reading, store
from regulator_api.knowledge.reading import TagFilter
from regulator_api.knowledge.tags import Entity, Statement, Tag, parsed_statement, parsed_word

MAX_ACCOUNTS: Final = 200
PROBLEMS: Final = (
    (404, "There is no such thing."),
    (409, "It contradicts what is known."),
    (422, "A value is not in its form, or a cursor is not one of this list."),
    (503, "The database is locked: try again."),
)


class Knowledge:
    """Answers what is known about accounts."""

    def __init__(self, database: Database, clock: Clock, cursors: PageCursors) -> None:
        self._database = database
        self._clock = clock
        self._cursors = cursors

    async def get_lists(self, request: web.Request) -> web.Response:
        query = read_query(request, bodies.ListsQuery)
        listing = f"lists {query.list}"
        sealed = self._cursors.open(listing, query.cursor)
        before = None if sealed is None else int(sealed[0])
        found = await self._database.read(
            lambda connection: store.list_versions(connection, query.limit + 1, before, query.list)
        )
        page = self._cursors.page(listing, found, query.limit, lambda one: (one.version,))
        return respond(bodies.ListsPage(items=[_version_view(one) for one in page.items], next=page.next))

    async def get_changes(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, bodies.ChangesQuery), request[SCOPE]
        version = int(request.match_info["version"])
        listing = f"changes {version} {scope.shown}"
        sealed = self._cursors.open(listing, query.cursor)
        found = await self._database.read(
            lambda connection: reading.read_changes(connection, scope, version, query.limit + 1, sealed)
        )
        page = self._cursors.page(listing, found, query.limit, lambda one: store.change_key(one[1]))
        items = [bodies.ChangeView(change=change, tag=_tag_view(tag)) for change, tag in page.items]
        return respond(bodies.ChangesPage(items=items, next=page.next))

    async def get_tags(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, bodies.TagsQuery), request[SCOPE]
        wanted = TagFilter(
            account=None if query.account is None else parse_account(query.account),
            category=query.category,
            entity=query.entity,
            list=query.list,
            at_s=query.at_s,
        )
        listing = f"tags {wanted} {query.version} {scope.shown}"
        sealed = self._cursors.open(listing, query.cursor)
        # All pages are as of the version of the first one.
        asked, behind = (query.version, None) if sealed is None else (int(sealed[0]), sealed[1:])

        def read(connection: Connection) -> tuple[int, list[Tag]]:
            version, known_ns = reading.known_moment(connection, asked)
            return version, reading.read_tags(connection, scope, wanted, known_ns, query.limit + 1, behind)

        version, found = await self._database.read(read)
        page = self._cursors.page(listing, found, query.limit, lambda tag: (version, *reading.tag_key(tag)))
        return respond(
            bodies.TagsPage(items=[_tag_view(tag) for tag in page.items], next=page.next, label_version=version)
        )

    async def get_entities(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, bodies.EntitiesQuery), request[SCOPE]
        listing = f"entities {query.version} {scope.shown}"
        sealed = self._cursors.open(listing, query.cursor)
        asked, behind = (query.version, None) if sealed is None else (int(sealed[0]), str(sealed[1]))

        def read(connection: Connection) -> tuple[int, list[Entity]]:
            version, known_ns = reading.known_moment(connection, asked)
            return version, reading.read_entities(connection, scope, known_ns, query.limit + 1, behind)

        version, found = await self._database.read(read)
        page = self._cursors.page(listing, found, query.limit, lambda entity: (version, entity.id))
        items = [_entity_view(entity) for entity in page.items]
        return respond(bodies.EntitiesPage(items=items, next=page.next, label_version=version))

    async def get_entity(self, request: web.Request) -> web.Response:
        query, scope = read_query(request, bodies.EntityQuery), request[SCOPE]
        name = parsed_word(request.match_info["id"], "an entity id")

        def read(connection: Connection) -> tuple[int, Entity | None, list[str]]:
            version, known_ns = reading.known_moment(connection, query.version)
            record = reading.read_entity(connection, scope, known_ns, name)
            return version, record, reading.read_accounts(connection, scope, known_ns, name, MAX_ACCOUNTS)

        version, record, accounts = await self._database.read(read)
        if record is None and not accounts:
            raise NotFoundError("there is no such entity", id=name, labels=version)
        shown = None if record is None else _entity_view(record)
        return respond(bodies.EntityAnswer(id=name, entity=shown, accounts=accounts, label_version=version))

    async def post_tag(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.TagBody)
        _check_writer(request)
        members = msgspec.structs.asdict(body)
        statement: Statement = parsed_statement(subject=members.pop("account"), **members)
        return await self._write(request, body, lambda c, **lineage: store.state_own(c, statement, **lineage))

    async def post_entity(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.EntityBody)
        _check_writer(request)
        entity = store.parsed_entity(body.id, body.name, body.jurisdiction, body.lei)
        return await self._write(request, body, lambda c, **lineage: store.state_entity(c, entity, **lineage))

    async def _write(
        self, request: web.Request, body: msgspec.Struct, write: Callable[..., store.ListVersion]
    ) -> web.Response:
        lineage = {
            "sha256": hashlib.sha256(msgspec.json.encode(body)).digest(),
            "who": request[CALLER].name,
            "now_ns": self._clock.now_ns(),
        }
        made = await self._database.write(lambda connection: write(connection, **lineage))
        return respond(_version_view(made), status=201)


def routes(knowledge: Knowledge) -> list[Route]:
    """Everything that is asked about labels, and what people may state themselves."""
    return [
        _route(
            "GET", "/v1/lists", knowledge.get_lists, "Label versions, newest first", bodies.ListsPage, bodies.ListsQuery
        ),
        _route(
            "GET",
            "/v1/lists/{version:[0-9]{1,18}}/changes",
            knowledge.get_changes,
            "The tags that a label version changed",
            bodies.ChangesPage,
            bodies.ChangesQuery,
        ),
        _route("GET", "/v1/tags", knowledge.get_tags, "Tags, by account", bodies.TagsPage, bodies.TagsQuery),
        _route(
            "GET", "/v1/entities", knowledge.get_entities, "Entities, by id", bodies.EntitiesPage, bodies.EntitiesQuery
        ),
        _route(
            "GET",
            "/v1/entities/{id}",
            knowledge.get_entity,
            "One entity and its accounts",
            bodies.EntityAnswer,
            bodies.EntityQuery,
        ),
        _route("POST", "/v1/tags", knowledge.post_tag, "State a tag", bodies.ListVersionView, body=bodies.TagBody),
        _route(
            "POST",
            "/v1/entities",
            knowledge.post_entity,
            "State an entity's record",
            bodies.ListVersionView,
            body=bodies.EntityBody,
        ),
    ]


def _route(
    method: str,
    path: str,
    handler: Handler,
    summary: str,
    answer: type,
    query: type[msgspec.Struct] | None = None,
    body: type[msgspec.Struct] | None = None,
) -> Route:
    return Route(
        method,
        path,
        handler,
        summary,
        query=query,
        body=body,
        answer=answer,
        status=200 if body is None else 201,
        scope="read" if body is None else "lists",
        problems=PROBLEMS,
        tag="knowledge",
        idempotent=body is not None,
    )


def _check_writer(request: web.Request) -> None:
    """Raise `RejectedError` unless the caller sees everything: a tag decides for others what they see."""
    if not request[SCOPE].unrestricted:
        raise RejectedError("tags and entities are stated by callers that see all jurisdictions: ask one of them")


def _version_view(one: store.ListVersion) -> bodies.ListVersionView:
    members = {name: getattr(one, name) for name in store.ListVersion.__dataclass_fields__}
    return bodies.ListVersionView(**members | {"known_ns": str(one.known_ns), "sha256": one.sha256.hex()})


def _tag_view(tag: Tag) -> bodies.TagView:
    return bodies.TagView(
        account=tag.subject,
        label=tag.label,
        category=tag.category,
        source=tag.source,
        confidence=tag.confidence,
        valid_from_s=tag.valid_from_s,
        valid_to_s=tag.valid_to_s,
        jurisdiction=tag.jurisdiction,
        entity=tag.entity,
        list=tag.source_list,
        version=tag.source_version,
        known_from_ns=str(tag.known_from_ns),
        known_to_ns=None if tag.known_to_ns is None else str(tag.known_to_ns),
    )


def _entity_view(entity: Entity) -> bodies.EntityView:
    return bodies.EntityView(id=entity.id, name=entity.name, jurisdiction=entity.jurisdiction, lei=entity.lei)
