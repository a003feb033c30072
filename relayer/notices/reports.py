"""Agreements reported to a regulator: written down with the swap, posted until the regulator has taken them.

`POST <url>/v1/agreements` with `X-API-Key`; identifiers are CAIP, amounts decimal strings, bytes hex. A report that
the regulator refuses for good is kept with the reason, and nothing else waits for it. Only the beginning of an answer
is read, and a redirect is not followed: the key is for the configured address alone.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import aiohttp
import msgspec
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError, RetryableError
from core.model.types import LockTerms, SwapId
from core.runtime import deliveries, retry
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.deliveries import Answer, Deliverer, Delivery, DeliveryStatus, Queue
from core.runtime.savepoints import MAX_REASON_CHARS
from core.runtime.signals import Signal
from core.runtime.web.auth import HEADER
from htlc.model import Agreement

TIMEOUT_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 4 * MAX_REASON_CHARS
"""More of an answer is not read."""
REPORTS: Final = Queue("reports", retry.WORKER, max_tries=100_000, max_age_s=30 * 24 * 3_600)
"""A regulator that is away for a month has to ask its relayers: what was not taken is kept with the reason."""
REGULATOR: Final = "regulator"
"""The destination of all reports, wherever it is: its address may be corrected while they wait."""
_AWAY: Final = frozenset({401, 403, 408, 429})
"""Answers that are not about this report: our key may be renewed, and a busy regulator comes back."""


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
    deliveries.enqueue(connection, REPORTS, REGULATOR, body, now_ns=now_ns, topic=agreement.swap_id)


def forget(connection: Connection, swap_id: SwapId) -> None:
    """Delete the report of a swap that came to nothing."""
    deliveries.forget(connection, REPORTS, swap_id)


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
"""Opens what posts: an `aiohttp.ClientSession`, or what stands in for one if there is no network."""


def http_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S))


class Reporter:
    """A named loop that posts what is due; `wake` makes it look at once."""

    def __init__(
        self, database: Database, target: ReportTarget, clock: Clock, open_session: OpenSession = http_session
    ) -> None:
        self._deliverer = Deliverer(database, REPORTS, clock)
        self._target = target
        self._open_session = open_session

    @property
    def wake(self) -> Signal:
        return self._deliverer.wake

    async def run(self) -> None:
        """Report for ever."""
        async with self._open_session() as session:
            await self._deliverer.run(partial(self._post, session))

    async def step(self, session: Any) -> int:
        """Post what is due now; return how many reports were taken."""
        return await self._deliverer.step(partial(self._post, session))

    async def _post(self, session: Any, report: Delivery) -> Answer:
        headers = {HEADER: self._target.key, "Content-Type": "application/json"}
        url = self._target.url.rstrip("/") + "/v1/agreements"
        try:
            async with session.post(url, data=report.body, headers=headers, allow_redirects=False) as response:
                raw = await response.content.read(MAX_ANSWER_BYTES)
                status = response.status
        except (aiohttp.ClientError, OSError) as error:
            raise RetryableError(f"the regulator does not answer: {type(error).__name__}") from error
        if status < 300:
            return Answer(DeliveryStatus.TAKEN)
        reason = f"{status}: {raw.decode(errors='replace')}"
        if status in _AWAY or status == 503:
            raise RetryableError(reason)
        # An address that moved is corrected, and what one report broke may be mended; other refusals stay.
        later = status < 400 or status >= 500
        return Answer(DeliveryStatus.PENDING if later else DeliveryStatus.REFUSED, reason)
