"""The paths of exports: `POST /v1/exports` begins one, `GET` says how far it is and gives the file."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web

from core.model.errors import CausewayError, ConflictError, NotFoundError, RejectedError, RetryableError
from core.runtime.clock import NS_PER_S, Clock, SecretSource, SystemSecrets
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.web import CALLER, Problem, Route, read_body, respond
from indexer.projections.transfers import TransferRow
from regulator_api.access.scope import SCOPE, Scope
from regulator_api.answers import hex_of
from regulator_api.exports import store
from regulator_api.exports.formats import writer_of
from regulator_api.reading.common import Reading
from regulator_api.reading.questions import AsOfBody, LabelVersion, Time
from regulator_api.requests import Identifier
from regulator_api.view import View
from regulator_api.view.swaps import SwapFilter, list_swaps
from regulator_api.view.transfers import Key, TransferFilter, list_transfers

PAGE: Final = 2_000
MAX_ROWS: Final = 1_000_000
MAX_BYTES: Final = 64 * 1024 * 1024
MAX_EXPORTS: Final = 20
"""Exports of one caller that are kept."""
MAX_AT_ONCE: Final = 2
KEPT_S: Final = 86_400
STALE_S: Final = 60
"""Seconds without news after which an export is begun again: its process ended."""
TRANSFER_COLUMNS: Final = (
    "time_s",
    "chain",
    "height",
    "block_hash",
    "index",
    "tx_hash",
    "asset",
    "sender",
    "receiver",
    "amount",
)
SWAP_COLUMNS: Final = (
    "opened_s",
    "id",
    "hashlock",
    "status",
    "initiator_chain",
    "initiator_asset",
    "initiator_amount",
    "initiator_sender",
    "initiator_receiver",
    "participant_chain",
    "participant_asset",
    "participant_amount",
    "participant_sender",
    "participant_receiver",
)
NUMBERS: Final = frozenset({"time_s", "height", "index", "opened_s"})
PROBLEMS: Final = (
    (404, "There is no such export of this caller."),
    (409, "The file is not made yet, or could not be made."),
    (422, "The question is not in its form, or the file would be too large."),
    (429, "The caller has too many exports."),
    (503, "The database is locked: try again."),
)
log = get_logger("regulator_api.exports")


class ExportBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rows that are wanted, newest first. The moment is the finalized blocks unless `as_of` says another."""

    what: Literal["transfers", "swaps"]
    format: Literal["csv", "jsonl", "parquet"]
    chain: Identifier | None = None
    asset: Identifier | None = None
    account: Identifier | None = None
    since_s: Time | None = None
    until_s: Time | None = None
    as_of: AsOfBody | None = None
    labels: LabelVersion | None = None


class ExportAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How far an export is. `sha256` is of the file, null before it is `done`; `detail` says why it `failed`. `rows`
    and `bytes` are those that are made so far. It is forgotten after `expires_s`, Unix seconds."""

    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    state: Literal["running", "done", "failed"]
    format: Literal["csv", "jsonl", "parquet"]
    rows: int
    bytes: int
    sha256: str | None
    detail: str
    expires_s: int


def routes(reading: Reading, database: Database, clock: Clock) -> list[Route]:
    """All three paths."""
    exports = Exports(reading, database, clock, SystemSecrets())
    shared: dict[str, Any] = {"scope": "read", "problems": PROBLEMS, "tag": "supervision"}
    return [
        Route(
            "POST",
            "/v1/exports",
            exports.post,
            "Begin an export",
            body=ExportBody,
            answer=ExportAnswer,
            status=202,
            **shared,
        ),
        Route("GET", "/v1/exports/{id}", exports.get, "How far an export is", answer=ExportAnswer, **shared),
        Route(
            "GET",
            "/v1/exports/{id}/file",
            exports.file,
            "The file of an export",
            content_type="application/octet-stream",
            **shared,
        ),
    ]


@dataclass(slots=True)
class _Job:
    """An export that this process makes, as long as nobody has taken it over since `seen_ns`."""

    id: str
    body: ExportBody
    scope: Scope
    seen_ns: int


class Exports:
    """The handlers, and the files that are under way in this process."""

    def __init__(self, reading: Reading, database: Database, clock: Clock, secrets: SecretSource) -> None:
        self._reading = reading
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def post(self, request: web.Request) -> web.Response:
        body = await read_body(request, ExportBody)
        writer_of(body.format, ("a",), frozenset())
        await self._reading.filters(request[SCOPE], body.chain, body.asset, body.account)
        scope, now_ns = request[SCOPE], self._clock.now_ns()
        _, frame = await self._reading.read(request, (body.as_of, body.labels), lambda view: None, "finalized")
        asked = msgspec.structs.replace(body, as_of=frame.moment.text or None, labels=frame.moment.label_version)
        export = store.Export(
            id=self._secrets.token_bytes(16).hex(),
            who=request[CALLER].id,
            question=msgspec.json.encode(asked),
            scope=msgspec.json.encode(None if scope.jurisdictions is None else sorted(scope.jurisdictions)),
            state=store.RUNNING,
            rows=0,
            bytes=0,
            sha256="",
            detail="",
            made_ns=now_ns,
            seen_ns=now_ns,
        )
        oldest_ns = now_ns - KEPT_S * NS_PER_S
        if not await self._database.write(lambda c: store.begin(c, export, oldest_ns, MAX_EXPORTS)):
            raise Problem(
                429,
                "too-many-exports",
                "Too many exports",
                f"{MAX_EXPORTS} exports of yours are kept: they are forgotten after a day.",
                retry_after_s=3_600,
            )
        self._start(_Job(export.id, asked, scope, now_ns))
        return respond(_answer(export), status=202, headers={"Location": f"/v1/exports/{export.id}"})

    async def get(self, request: web.Request) -> web.Response:
        return respond(_answer(await self._find(request)))

    async def file(self, request: web.Request) -> web.Response:
        export = await self._find(request)
        if export.state != store.DONE:
            raise ConflictError(f"the export is {export.state}: {export.detail or 'look again in some seconds'}")
        body = msgspec.json.decode(export.question, type=ExportBody)
        content = await self._database.read(lambda connection: store.content(connection, export.id))
        name = f"{body.what}-{export.id[:8]}.{body.format}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)

    async def _find(self, request: web.Request) -> store.Export:
        name, who = request.match_info["id"], request[CALLER].id
        found = await self._database.read(lambda connection: store.find(connection, name, who))
        if found is None:
            raise NotFoundError("there is no such export of yours", id=name[:32])
        now_ns = self._clock.now_ns()
        stale_ns = now_ns - STALE_S * NS_PER_S
        # One that waits here for its turn has no news either.
        stale = found.state == store.RUNNING and found.seen_ns < stale_ns and name not in self._tasks
        if stale and await self._database.write(lambda c: store.take_over(c, name, stale_ns, now_ns)):
            wanted = msgspec.json.decode(found.scope, type=list[str] | None)
            scope = Scope(None if wanted is None else frozenset(wanted), request[SCOPE].roles)
            self._start(_Job(name, msgspec.json.decode(found.question, type=ExportBody), scope, now_ns))
        return found

    def _start(self, job: _Job) -> None:
        self._tasks[job.id] = task = asyncio.get_running_loop().create_task(self._make(job))
        task.add_done_callback(lambda _: self._tasks.pop(job.id))

    async def _make(self, job: _Job) -> None:
        async with self._turns:
            try:
                await self._pages(job)
            except RetryableError as error:
                log.warning("an export stopped: whoever asks for it begins it again", id=job.id, error=error.message)
            except CausewayError as error:
                log.warning("an export failed", id=job.id, error=error.message)
                await self._add(job, 0, b"", {"state": store.FAILED, "detail": error.message})

    async def _add(self, job: _Job, number: int, data: bytes, values: dict[str, Any]) -> bool:
        """Keep a part of the file. Return false if the export is not this job's any more."""
        now_ns = self._clock.now_ns()
        mine = await self._database.write(
            lambda c: store.add(c, job.id, job.seen_ns, number, data, seen_ns=now_ns, **values)
        )
        job.seen_ns = now_ns
        return mine

    async def _pages(self, job: _Job) -> None:
        columns = TRANSFER_COLUMNS if job.body.what == "transfers" else SWAP_COLUMNS
        writer = writer_of(job.body.format, columns, NUMBERS)
        digest = hashlib.sha256()
        key: Any = None
        rows, size, number = 0, 0, 0
        while True:
            found, key = await self._page(job, key)
            data = await asyncio.to_thread(writer.write, found)
            rows, size = rows + len(found), size + len(data)
            if rows > MAX_ROWS or size > MAX_BYTES:
                raise RejectedError(
                    f"an export has at most {MAX_ROWS} rows and {MAX_BYTES} bytes: ask for a shorter time"
                )
            digest.update(data)
            done = key is None
            if done:
                rest = writer.close()
                digest.update(rest)
                data, size = data + rest, size + len(rest)
            values: dict[str, Any] = {"rows": rows, "bytes": size}
            if done:
                values |= {"state": store.DONE, "sha256": digest.hexdigest()}
            if not await self._add(job, number, data, values) or done:
                return
            number += 1

    async def _page(self, job: _Job, key: Any) -> tuple[Sequence[tuple[Any, ...]], Any]:
        body = job.body
        chain, asset, (account,) = await self._reading.filters(job.scope, body.chain, body.asset, body.account)

        def work(view: View) -> tuple[Sequence[tuple[Any, ...]], Any]:
            if body.what == "transfers":
                before: Key | None = key
                wanted = TransferFilter(
                    chain=chain, asset=asset, account=account, since_s=body.since_s, until_s=body.until_s
                )
                page = list_transfers(view, wanted, PAGE, before)
                return [_transfer(row) for row in page.rows], page.next
            of_swaps = SwapFilter(chain=chain, asset=asset, account=account, since_s=body.since_s, until_s=body.until_s)
            swaps = list_swaps(view, of_swaps, PAGE // 10, key)
            return [_swap(row) for row in swaps.rows], swaps.next

        found, _ = await self._reading.read_as(job.scope, (body.as_of, body.labels), work)
        return found


def _transfer(row: TransferRow) -> tuple[Any, ...]:
    chain = row.block.chain
    return (
        row.time_s,
        chain,
        row.block.height,
        hex_of(chain, row.block.hash),
        row.index,
        hex_of(chain, row.tx_hash),
        row.asset,
        row.sender,
        row.receiver,
        str(row.amount),
    )


def _swap(row: Any) -> tuple[Any, ...]:
    legs: list[Any] = []
    for terms in (None, None) if row.agreed is None else (row.agreed.initiator, row.agreed.participant):
        legs += (
            [None] * 5 if terms is None else [terms.chain, terms.asset, str(terms.amount), terms.sender, terms.receiver]
        )
    return (row.opened_s, row.swap_id, row.hashlock.hex(), row.status.value, *legs)


def _answer(export: store.Export) -> ExportAnswer:
    body = msgspec.json.decode(export.question, type=ExportBody)
    return ExportAnswer(
        id=export.id,
        state=export.state,  # type: ignore[arg-type]
        format=body.format,
        rows=export.rows,
        bytes=export.bytes,
        sha256=export.sha256 or None,
        detail=export.detail,
        expires_s=export.made_ns // NS_PER_S + KEPT_S,
    )
