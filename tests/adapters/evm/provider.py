"""A provider in front of anvil, as narrow and as odd as real ones are."""

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

Entry = dict[str, Any]


@dataclass
class Limits:
    """`batch_style`: `object`, `list` (of one refusal), `each` (call by call), `hang`, or `silent` (all unanswered).

    `range_style`: `refuse` with `status`, `code` and `words`, or `hang`. `per_s`: requests in any second, beyond which
    HTTP 429 is answered. `shuffled`: batches come back in another order, with entries of nobody and twice.
    `short`: so many calls of a batch are answered at most, the others left out. `refused`: methods that are refused
    with `code` and `words`.
    """

    batch: int = 1_000
    batch_style: str = "object"
    blocks: int = 10_000
    range_style: str = "refuse"
    status: int = 200
    code: int = -32000
    words: str = "no"
    per_s: float = 0
    retry_after: str | None = None
    shuffled: bool = False
    short: int = 0
    refused: frozenset[str] = field(default_factory=frozenset)


class Provider:
    """Counts what it serves and refuses."""

    def __init__(self, upstream: str, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.upstream, self.limits, self.url = upstream, limits, ""
        self.requests = self.refused = self.too_soon = 0
        self.methods: list[str] = []
        self._clock = clock
        self._recent: deque[float] = deque()
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        limits = self.limits
        body = json.loads(await request.read())
        if self._is_too_soon():
            self.too_soon += 1
            headers = {} if limits.retry_after is None else {"Retry-After": limits.retry_after}
            return web.Response(status=429, text="slow down", headers=headers)
        calls: list[Entry] = body if isinstance(body, list) else [body]
        self.methods += [call["method"] for call in calls]
        if isinstance(body, list) and len(body) > limits.batch:
            return await self._refuse_batch(calls)
        if any(map(self._is_too_long, calls)) and limits.range_style == "hang":
            self.refused += 1
            await asyncio.sleep(60)
        served = [call for call in calls if not self._is_refused(call)]
        self.refused += len(served) < len(calls)
        answers = await self._forwarded(served) + [self._refusal(call["id"]) for call in calls if call not in served]
        if isinstance(body, dict):
            return self._response(answers[0], limits.status if len(served) < len(calls) else 200)
        if limits.short:
            answers = answers[: limits.short]
        if limits.shuffled:
            answers = [*answers, answers[0], {"jsonrpc": "2.0", "id": 4_711, "result": "0x"}]
            random.Random(len(answers)).shuffle(answers)
        return self._response(answers, limits.status if len(served) < len(calls) else 200)

    def _is_too_soon(self) -> bool:
        now_s = self._clock()
        while self._recent and self._recent[0] <= now_s - 1:
            self._recent.popleft()
        if self.limits.per_s and len(self._recent) >= self.limits.per_s:
            return True
        self._recent.append(now_s)
        return False

    async def _refuse_batch(self, calls: list[Entry]) -> web.StreamResponse:
        self.refused += 1
        match self.limits.batch_style:
            case "each":
                return self._response([self._refusal(call["id"]) for call in calls], self.limits.status)
            case "list":
                return self._response([self._refusal(None)], self.limits.status)
            case "silent":
                return self._response([], 200)
            case "text":
                return web.Response(status=self.limits.status, text=self.limits.words)
            case "hang":
                await asyncio.sleep(60)
        return self._response(self._refusal(None), self.limits.status)

    def _is_refused(self, call: Entry) -> bool:
        return call["method"] in self.limits.refused or self._is_too_long(call)

    def _is_too_long(self, call: Entry) -> bool:
        if call["method"] != "eth_getLogs" or "fromBlock" not in call["params"][0]:
            return False
        wanted = call["params"][0]
        if wanted["fromBlock"] == wanted["toBlock"]:
            return self.limits.blocks < 1
        return int(wanted["toBlock"], 16) - int(wanted["fromBlock"], 16) + 1 > self.limits.blocks

    def _refusal(self, number: Any) -> Entry:
        return {"jsonrpc": "2.0", "id": number, "error": {"code": self.limits.code, "message": self.limits.words}}

    async def _forwarded(self, calls: list[Entry]) -> list[Entry]:
        if not calls:
            return []
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.post(self.upstream, json=calls) as response:
            answers: list[Entry] = await response.json()
        return answers

    def _response(self, body: Any, status: int) -> web.Response:
        return web.Response(body=json.dumps(body).encode(), status=status, content_type="application/json")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


@asynccontextmanager
async def provider(upstream: str, limits: Limits) -> AsyncIterator[Provider]:
    one = Provider(upstream, limits)
    application = web.Application(client_max_size=2**24)
    application.router.add_post("/", one.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield one
    finally:
        await runner.cleanup()
        await one.close()
