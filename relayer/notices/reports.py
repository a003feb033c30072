"""Agreements reported to a regulator: written down with the swap, posted until the regulator has taken them.

`POST <url>/v1/agreements` with `X-API-Key`; identifiers are CAIP, amounts decimal strings, bytes hex. A report that
the regulator refuses for good is kept with the reason, and nothing else waits for it. Only the beginning of an answer
is read, and a redirect is not followed: the key is for the configured address alone.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.model.types import LockTerms, SwapId
from core.runtime import retry
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import METADATA, Database
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from core.runtime.web.auth import HEADER
from htlc.model import Agreement

TIMEOUT_S: Final = 15.0
BATCH: Final = 50
MAX_REASON_CHARS: Final = 500
MAX_ANSWER_BYTES: Final = 4 * MAX_REASON_CHARS
"""More of an answer is not read."""
LOOK_S: Final = 5.0

log = get_logger("relayer.notices.reports")

relayer_reports = sa.Table(
    "relayer_reports",
    METADATA,
    sa.Column("swap_id", sa.Text, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_ns", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Index(None, "status", "due_ns"),
)
PENDING: Final = "pending"
TAKEN: Final = "taken"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class ReportTarget:
    """The address for reports of agreements, and the API key that the regulator gave out for it."""

    url: str
    key: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise RejectedError("a regulator's address begins with http:// or https://")


def enqueue(connection: Connection, agreement: Agreement, source: str, now_ns: int) -> None:
    """Write a report down, in the transaction that stores the agreement."""
    body = msgspec.json.encode(
        {
            "swap_id": agreement.swap_id,
            "hashlock": "0x" + agreement.hashlock.hex(),
            "initiator": _leg(agreement.initiator_leg),
            "participant": _leg(agreement.participant_leg),
            "source": source,
        }
    )
    connection.execute(
        sa.insert(relayer_reports).values(
            swap_id=agreement.swap_id, body=body, status=PENDING, attempts=0, due_ns=now_ns
        )
    )


def forget(connection: Connection, swap_id: SwapId) -> None:
    """A report that was not taken yet goes with the swap that came to nothing."""
    connection.execute(sa.delete(relayer_reports).where(relayer_reports.c.swap_id == swap_id))


def _leg(terms: LockTerms) -> dict[str, Any]:
    return {
        "chain": terms.chain,
        "asset": terms.asset,
        "amount": str(terms.amount),
        "sender": terms.sender,
        "receiver": terms.receiver,
        "timelock": terms.timelock.seconds,
    }


OpenSession = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens what posts: an `aiohttp.ClientSession`, or what stands in for one where there is no network."""


def http_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S))


class Reporter:
    """A named loop that posts what is due; `wake` makes it look at once."""

    def __init__(
        self, database: Database, target: ReportTarget, clock: Clock, open_session: OpenSession = http_session
    ) -> None:
        self._database = database
        self._target = target
        self._clock = clock
        self._open_session = open_session
        self.wake = Signal()

    async def run(self) -> None:
        """Report for ever."""
        async with self._open_session() as session:
            while True:
                seen = self.wake.count
                await self.step(session)
                await self.wake.wait_beyond(seen, LOOK_S)

    async def step(self, session: Any) -> int:
        """Post what is due now; returns how many reports were taken."""
        taken = 0
        for row in await self._database.read(self._due):
            status, reason = await self._post(session, row.body)
            taken += status == TAKEN
            await self._note(row.swap_id, status, row.attempts + 1, reason)
        return taken

    def _due(self, connection: Connection) -> list[Any]:
        table = relayer_reports
        query = sa.select(table).where(table.c.status == PENDING, table.c.due_ns <= self._clock.now_ns())
        return list(connection.execute(query.order_by(table.c.due_ns).limit(BATCH)))

    async def _post(self, session: Any, body: bytes) -> tuple[str, str | None]:
        headers = {HEADER: self._target.key, "Content-Type": "application/json"}
        url = self._target.url.rstrip("/") + "/v1/agreements"
        try:
            async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                raw = await response.content.read(MAX_ANSWER_BYTES)
                text = raw.decode(errors="replace")[:MAX_REASON_CHARS]
                if response.status < 300:
                    return TAKEN, None
                # Our key may be renewed, an address that moved corrected, and a busy regulator comes back; other
                # refusals stay.
                retryable = response.status < 400 or response.status >= 500 or response.status in (401, 403, 408, 429)
                return (PENDING if retryable else REFUSED), f"{response.status}: {text}"
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return PENDING, type(error).__name__

    async def _note(self, swap_id: str, status: str, attempts: int, reason: str | None) -> None:
        if reason is not None:
            log.warning("agreement not reported", swap=swap_id, status=status, reason=reason)
        due_ns = self._clock.now_ns() + round(retry.WORKER.delay_s(attempts) * NS_PER_S)
        table = relayer_reports
        update = sa.update(table).where(table.c.swap_id == swap_id)
        await self._database.write(
            lambda c: c.execute(update.values(status=status, attempts=attempts, due_ns=due_ns, reason=reason)).rowcount
        )
