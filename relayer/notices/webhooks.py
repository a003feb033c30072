"""Webhooks: changes of swaps, posted to addresses that openers and the operator name (Standard Webhooks 1.0).

    webhook-id         the message's name; the same in every try
    webhook-timestamp  Unix seconds of this try
    webhook-signature  v1,<base64 of HMAC-SHA-256 over `id.timestamp.body` by the secret>

A change is found in the rows of swaps, after it was committed: nothing of this stands in a transaction that a swap
waits for. What is posted says which swap, its phase and version; a swap that changes quickly is reported as it is then.
An address that does not answer is tried for four days, ever more rarely, and holds up nobody else's.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.deliveries import Answer, Deliverer, Delivery, DeliveryStatus
from core.runtime.signals import Signal
from core.runtime.web.hooks import signature
from relayer.notices.addresses import Reach, Resolve, system_resolve
from relayer.notices.webhook_rows import (
    WEBHOOKS,
    WebhookTarget,
    any_hook,
    begin,
    collect,
    find,
    message_id,
    remove,
    set_back,
)

TIMEOUT_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 1_024
MAX_TARGETS: Final = 16
"""Addresses in a configuration."""
LOOK_S: Final = 1.0
"""Between two looks at the least."""
IDLE_LOOK_S: Final = 5.0
"""And at the most, for what another process may have changed."""
PAGES: Final = 50
"""Of one look."""
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class WebhookSetup:
    """The operator's own addresses, if openers may register others, and which addresses may be posted to."""

    targets: Sequence[WebhookTarget] = ()
    openers: bool = False
    reach: Reach = field(default_factory=Reach)

    def __post_init__(self) -> None:
        if len(self.targets) > MAX_TARGETS or len({target.url for target in self.targets}) != len(self.targets):
            raise RejectedError(f"a relayer has at most {MAX_TARGETS} webhooks of its own, each address once")
        for target in self.targets:
            self.reach.check_url(target.url)


Post = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""Posts a body to an address and returns the status. Raise `RejectedError` for an address that is closed to us,
`RetryableError` if it does not answer."""


# --- posting -------------------------------------------------------------------------------------------------------


class Webhooks:
    """Two named loops: `watch` finds changes and writes messages down, `deliver` posts them."""

    def __init__(self, database: Database, setup: WebhookSetup, changes: Signal, clock: Clock, post: Post) -> None:
        self._database = database
        self._setup = setup
        self._changes = changes
        self._clock = clock
        self._post = post
        self._targets = {target.id: target for target in setup.targets}
        self._deliverer = Deliverer(database, WEBHOOKS, clock)
        self._looked_ns = 0

    async def watch(self) -> None:
        """Look for changes for ever."""
        targets, now_ns = tuple(self._targets.values()), self._clock.now_ns()
        await self._database.write(lambda c: begin(c, targets, now_ns))
        while True:
            seen = self._changes.count
            await self.look()
            await self._clock.sleep(LOOK_S)
            await self._changes.wait_beyond(seen, IDLE_LOOK_S)

    async def look(self) -> None:
        """Write down what has changed."""
        if not self._targets and not await self._database.read(any_hook):
            return
        targets, position, before_ns = tuple(self._targets.values()), None, self._looked_ns
        self._looked_ns = looked_ns = self._clock.now_ns()
        if looked_ns < before_ns:
            await self._database.write(lambda c: set_back(c, looked_ns))
        for _ in range(PAGES):
            now_ns = self._clock.now_ns()
            position = await self._database.write(partial(collect, targets=targets, now_ns=now_ns, behind=position))
            if position is None:
                break
        self._deliverer.wake.notify()

    async def deliver(self) -> None:
        """Post for ever."""
        await self._deliverer.run(self._send)

    async def step(self) -> int:
        """Post what is due now; return how many messages were taken."""
        return await self._deliverer.step(self._send)

    async def _send(self, one: Delivery) -> Answer:
        place = await self._place(one.destination)
        if place is None:
            return Answer(DeliveryStatus.REFUSED, "it is not registered any more")
        url, secret = place
        name, now_s = message_id(one.id, one.destination), int(self._clock.now())
        status = await send_signed(self._post, url, secret, name, now_s, one.body)
        if 200 <= status < 300:
            return Answer(DeliveryStatus.TAKEN)
        if status == GONE and one.destination not in self._targets:
            await self._database.write(lambda c: remove(c, one.destination))
            return Answer(DeliveryStatus.REFUSED, f"it answered {status}")
        # Redirects are not followed: the next address was not looked at.
        raise RetryableError(f"it answered {status}")

    async def _place(self, hook_id: str) -> tuple[str, bytes] | None:
        target = self._targets.get(hook_id)
        if target is not None:
            return target.url, target.secret
        found = await self._database.read(lambda c: find(c, hook_id))
        return None if found is None else (found.url, found.secret)


async def send_signed(post: Post, url: str, secret: bytes, name: str, now_s: int, body: bytes) -> int:
    """Post a message with its id, time and signature; return the status of the answer.

    Raise `RetryableError`, also if nothing may be posted to the address as it resolves now.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "causeway-webhooks",
        "webhook-id": name,
        "webhook-timestamp": str(now_s),
        "webhook-signature": signature(secret, name, now_s, body),
    }
    try:
        return await post(url, headers, body)
    except RejectedError as error:
        raise RetryableError(f"not sent: {error.message}") from error


def guarded_post(reach: Reach, resolve: Resolve = system_resolve) -> Post:
    """Return what posts over the network: to the addresses that were looked at, without redirects, cookies, proxies or
    compressed answers, of which the beginning alone is read."""

    async def post(text: str, headers: Mapping[str, str], body: bytes) -> int:
        url = reach.check_url(text)
        addresses = await reach.resolve(url, resolve)
        connector = aiohttp.TCPConnector(resolver=_Pinned(addresses), use_dns_cache=False, force_close=True)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
                ) as session,
                session.post(_to(url, addresses), data=body, headers=headers, allow_redirects=False) as response,
            ):
                await response.content.read(MAX_ANSWER_BYTES)
                return response.status
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
            raise RetryableError(f"it does not answer: {type(error).__name__}") from error

    return post


def _to(url: URL, addresses: Sequence[str]) -> URL:
    """The address to ask for; aiohttp resolves no literal address, so that one goes in as it was looked at."""
    return url if len(addresses) != 1 or url.host not in addresses else url.with_host(addresses[0])


class _Pinned(AbstractResolver):
    """Resolves every name to the addresses that were looked at."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._addresses
        ]

    async def close(self) -> None:
        return None
