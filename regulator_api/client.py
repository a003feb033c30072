"""A client of the supervision API: typed and thin. With the regulator's public key it holds every answer against it.

async with RegulatorClient(address, token, public_key) as regulator:
    profile = await regulator.account("eip155:1:0x…")
    async for transfer in regulator.transfers(account=profile.account, since_s=1_790_000_000):
        ...
    trace = await regulator.trace(TraceBody(account=AccountSource(account=…, asset=…)))
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from core.model.errors import ConflictError, NotFoundError, RejectedError, RetryableError
from regulator_api.bodies import ChainsAnswer, SwapAnswer, SwapsPage, TransfersPage, TransferView
from regulator_api.bundles import Ground, Verified, verify
from regulator_api.exports.routes import ExportAnswer, ExportBody
from regulator_api.reading.bodies import (
    AccountMoveView,
    ConcentrationAnswer,
    CorridorsAnswer,
    MovesPage,
    PartnersAnswer,
    ProfileAnswer,
    SearchAnswer,
    SeriesAnswer,
    SupplyAnswer,
    SwapDocument,
)
from regulator_api.signing import verify_answer
from regulator_api.tracing.bodies import TraceAnswer, TraceBody

T = TypeVar("T")

TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 96 * 1024 * 1024
"""More than an export can have."""
LOOK_S: Final = 0.5
"""Between two looks at an export that is under way."""
MAX_REASON_CHARS: Final = 1_000


class RegulatorClient:
    """Asks as the holder of an access token, or of an API key of development (`key`). `purpose` and `case` say why.

    Every method raises `RejectedError` for a refusal with the server's reason (`NotFoundError` and `ConflictError`
    among them), for an answer that is not in its form, and, if `public_key` (32 bytes) is given, for one that this key
    did not sign for this very request; `RetryableError` if the server does not answer or says to try again.
    """

    def __init__(
        self,
        address: str,
        token: str | None = None,
        public_key: bytes | None = None,
        *,
        key: str | None = None,
        purpose: str | None = None,
        case: str | None = None,
    ) -> None:
        self._address = address.rstrip("/")
        self._public_key = public_key
        given = {
            "Authorization": None if token is None else f"Bearer {token}",
            "X-API-Key": key,
            "X-Purpose": purpose,
            "X-Case": case,
        }
        headers = {name: value for name, value in given.items() if value is not None}
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(headers=headers, timeout=timeout)

    async def __aenter__(self) -> "RegulatorClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    # --- questions -----------------------------------------------------------------------------------------------

    async def chains(self) -> ChainsAnswer:
        return await self._get("/v1/chains", ChainsAnswer)

    async def account(self, account: str, **moment: str | int) -> ProfileAnswer:
        """One account. `moment`: `as_of` and `labels`, as everywhere."""
        return await self._get(_path("accounts", account), ProfileAnswer, moment)

    async def counterparties(self, account: str, **filters: str | int) -> PartnersAnswer:
        return await self._get(_path("accounts", account, "counterparties"), PartnersAnswer, filters)

    async def swap(self, swap_id: str, **moment: str | int) -> SwapDocument:
        return await self._get(_path("swaps", swap_id), SwapDocument, moment)

    async def search(self, words: str) -> SearchAnswer:
        return await self._get("/v1/search", SearchAnswer, {"q": words})

    async def supply(self, asset: str, **moment: str | int) -> SupplyAnswer:
        return await self._get(_path("assets", asset, "supply"), SupplyAnswer, moment)

    async def concentration(self, asset: str, **parameters: str | int) -> ConcentrationAnswer:
        return await self._get(_path("assets", asset, "concentration"), ConcentrationAnswer, parameters)

    async def series(self, asset: str, **parameters: str | int) -> SeriesAnswer:
        return await self._get(_path("assets", asset, "series"), SeriesAnswer, parameters)

    async def corridors(self, **parameters: str | int) -> CorridorsAnswer:
        return await self._get("/v1/corridors", CorridorsAnswer, parameters)

    async def trace(self, body: TraceBody) -> TraceAnswer:
        return await self._call("POST", "/v1/traces", TraceAnswer, {}, body)

    # --- lists, page after page ------------------------------------------------------------------------------------

    async def transfers(self, **filters: str | int) -> AsyncIterator[TransferView]:
        async for page in self._pages("/v1/transfers", TransfersPage, filters):
            for item in page.items:
                yield item

    async def swaps(self, **filters: str | int) -> AsyncIterator[SwapAnswer]:
        async for page in self._pages("/v1/swaps", SwapsPage, filters):
            for item in page.items:
                yield item

    async def moves(self, account: str, **moment: str | int) -> AsyncIterator[AccountMoveView]:
        async for page in self._pages(_path("accounts", account, "moves"), MovesPage, moment):
            for item in page.items:
                yield item

    async def export(self, body: ExportBody, deadline_s: float = 600.0) -> bytes:
        """Begin an export, wait for it, and return its file. Raise `RejectedError` if it fails, `RetryableError` if it
        takes longer than `deadline_s`."""
        begun = await self._call("POST", "/v1/exports", ExportAnswer, {}, body)
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    found = await self._get(_path("exports", begun.id), ExportAnswer)
                    if found.state != "running":
                        break
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise RetryableError(f"export {begun.id} is not done after {deadline_s:.0f} s: look again") from None
        if found.state == "failed":
            raise RejectedError(f"export {begun.id} failed: {found.detail}")
        return await self._raw("GET", _path("exports", begun.id, "file"), {}, None)

    async def proven(
        self, path: str, kind: type[T], ground: Ground | None = None, **query: str | int
    ) -> tuple[T, Verified]:
        """Ask for an answer with its proof, and check it: return both. `path` is one of the API's, percent-encoded.

        The answer's figures are computed again; evidence of chains is verified by `ground`, the reader's own anchors
        and time. Raise `RejectedError` for a proof that does not hold, or is one of another path.
        """
        raw = await self._raw("GET", path, {**query, "evidence": True}, None)
        found = await asyncio.to_thread(verify, raw, ground)
        asked = _asked(path, query)
        proof = msgspec.json.decode(raw, type=_Proven).proof
        if proof.path != asked:
            raise RejectedError(f"the proof is of {proof.path[:200]!a}, and not of {asked[:200]!a}")
        return msgspec.json.decode(raw, type=kind), found

    # --- parts -----------------------------------------------------------------------------------------------------

    async def _pages(self, path: str, kind: type[T], filters: Mapping[str, str | int]) -> AsyncIterator[T]:
        query, cursor = dict(filters), ""
        while True:
            page: Any = await self._get(path, kind, query)
            yield page
            if page.next is None or page.next == cursor:
                return
            cursor = query["cursor"] = page.next

    async def _get(self, path: str, kind: type[T], query: Mapping[str, str | int] | None = None) -> T:
        return await self._call("GET", path, kind, query or {}, None)

    async def _call(
        self, method: str, path: str, kind: type[T], query: Mapping[str, str | int], body: msgspec.Struct | None
    ) -> T:
        raw = await self._raw(method, path, query, body)
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise RejectedError(f"the answer to {method} {path} is not in its form: {error}") from None

    async def _raw(self, method: str, path: str, query: Mapping[str, str | int], body: msgspec.Struct | None) -> bytes:
        asked = _asked(path, query)
        data = None if body is None else msgspec.json.encode(body)
        sent = {} if data is None else {"Content-Type": "application/json"}
        # The query is part of what was signed: it is sent as it is written here.
        url = URL(self._address + asked, encoded=True)
        try:
            async with self._session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer:
                read = bytearray()
                while len(read) <= MAX_ANSWER_BYTES and (more := await answer.content.readany()):
                    read += more
                status, headers = answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RetryableError(f"{self._address} does not answer: {error or 'it took too long'}") from None
        if len(read) > MAX_ANSWER_BYTES:
            raise RejectedError(f"the answer to {method} {path} has more than {MAX_ANSWER_BYTES} bytes")
        raw = bytes(read)
        if self._public_key is not None:
            verify_answer(method, asked, status, headers, raw, self._public_key)
        if status >= 400:
            raise _refusal(status, raw)
        return raw


class _Path(msgspec.Struct):
    path: str


class _Proven(msgspec.Struct):
    proof: _Path


def _asked(path: str, query: Mapping[str, str | int]) -> str:
    """The path with its query, as it is sent."""
    parts = [f"{name}={quote(_text(value), safe='')}" for name, value in query.items()]
    return f"{path}?{'&'.join(parts)}" if parts else path


def _text(value: str | int) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


class _Problem(msgspec.Struct):
    detail: str = ""
    title: str = ""


def _refusal(status: int, raw: bytes) -> RejectedError | RetryableError:
    """The server's problem document as an error that says who acts."""
    try:
        problem = msgspec.json.decode(raw, type=_Problem)
    except (msgspec.DecodeError, msgspec.ValidationError):
        problem = _Problem()
    reason = f"{status}: {problem.detail or problem.title or 'no reason given'}"[:MAX_REASON_CHARS]
    if status == 429 or status >= 500:
        return RetryableError(reason)
    kinds: dict[int, type[RejectedError]] = {404: NotFoundError, 409: ConflictError}
    return kinds.get(status, RejectedError)(reason)
