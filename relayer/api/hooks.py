"""Webhooks of openers: registered by the account that opened the swap, read and removed by whoever has the secret."""

import hmac
from typing import Final

from aiohttp import web

from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_account
from core.model.types import SwapId
from core.runtime.clock import NS_PER_S, Clock, SecretSource
from core.runtime.database import Database
from core.runtime.web import Problem
from core.runtime.web.hooks import SECRET_BYTES, secret_text
from relayer.api import wire
from relayer.api.access import Accesses
from relayer.api.bodies import MessageBody, WebhookBody, WebhookCall, WebhookLogBody
from relayer.notices import webhook_rows
from relayer.notices.addresses import Reach
from relayer.notices.webhook_rows import Hook, LogEntry
from relayer.provider.desk import Desk

HOOK_BYTES: Final = 16


class Hooks:
    """The registrations of one relayer. `reach` is None if its operator takes none of openers."""

    def __init__(
        self,
        database: Database,
        desk: Desk,
        accesses: Accesses,
        reach: Reach | None,
        clock: Clock,
        secrets: SecretSource,
    ) -> None:
        self._database = database
        self._desk = desk
        self._accesses = accesses
        self._reach = reach
        self._clock = clock
        self._secrets = secrets

    async def register(self, swap_id: str, call: WebhookCall, caller: str) -> WebhookBody:
        """Raise `NotFoundError` for an unknown swap or if it is not offered, `TooManyError` for too many, and
        `RejectedError` for another account's swap, a wrong proof, or an address that may not be posted to."""
        if self._reach is None:
            raise NotFoundError("this relayer posts nothing for openers: follow the swap by /v1/ws or /v1/events")
        view = await self._desk.swap(SwapId(swap_id))
        account = parse_account(call.account)
        if account != view.initiator.terms.sender:
            raise RejectedError("webhooks of a swap are registered by the account that locks on its initiator's leg")
        self._reach.check_url(call.url)
        challenge = wire.bytes_from(call.challenge, 32, "challenge")
        await self._accesses.check(account, challenge, wire.proof_from(call.proof) or b"")
        hook = Hook(
            id=self._secrets.token_bytes(HOOK_BYTES).hex(),
            swap_id=view.id,
            url=call.url,
            secret=self._secrets.token_bytes(SECRET_BYTES),
            created_ns=self._clock.now_ns(),
        )
        await self._database.write(lambda c: webhook_rows.register(c, hook, caller))
        return WebhookBody(id=hook.id, swap_id=hook.swap_id, url=hook.url, secret=secret_text(hook.secret))

    async def log(self, request: web.Request) -> WebhookLogBody:
        """Raise what `_allowed` raises."""
        hook = await self._allowed(request)
        entries = await self._database.read(lambda c: webhook_rows.log_of(c, hook.id))
        return WebhookLogBody(
            id=hook.id,
            swap_id=hook.swap_id,
            url=hook.url,
            created_at=hook.created_ns / NS_PER_S,
            messages=tuple(map(_message_body, entries)),
        )

    async def remove(self, request: web.Request) -> WebhookLogBody:
        """Return the log as it was. Raise what `_allowed` raises."""
        log = await self.log(request)
        await self._database.write(lambda c: webhook_rows.remove(c, log.id))
        return log

    async def _allowed(self, request: web.Request) -> Hook:
        """Raise `NotFoundError` for an unknown webhook, a 401 `Problem` without its secret."""
        hook = await self._database.read(lambda c: webhook_rows.hook_of(c, request.match_info["id"]))
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {secret_text(hook.secret)}".encode()):
            raise Problem(
                401,
                "webhook-secret-missing",
                "The webhook's secret is missing or wrong",
                "Send Authorization: Bearer and the secret that its registration answered, whsec_….",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return hook


def _message_body(entry: LogEntry) -> MessageBody:
    return MessageBody(
        id=entry.message_id,
        body=entry.body.decode(),
        status=entry.status,
        attempts=entry.attempts,
        next_at=None if entry.next_ns is None else entry.next_ns / NS_PER_S,
        reason=entry.reason,
    )
