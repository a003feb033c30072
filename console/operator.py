"""An operator's pages: a relayer's swaps, money, endpoints and switches, for whoever has its configuration at hand."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aiohttp import web

from console.api import Credentials
from console.frame import Frame, Page, Visit, redirect
from console.live import Source
from core.runtime.clock import Clock

LATE_S: Final = 0
"""Seconds left from which on a swap counts as stuck."""

LOOK_S: Final = 2.0
"""Between two looks for live pages; only while one is open."""
KIND: Final = "relayer"
"""The one kind of things that changes here."""

PAGES: Final[tuple[Page, ...]] = (
    Page("", "Swaps", None),
    Page("transactions", "Transactions", None),
    Page("money", "Money", None),
    Page("health", "Health", None),
)


class Operations(Protocol):
    """What a relayer's operator may look at and do: the commands of `causeway relayer`, for pages."""

    async def status(self) -> dict[str, Any]:
        """Switches, open swaps by phase, effects that wait, chains. Raise `CausewayError`."""

    async def swaps(self, ended: bool) -> list[dict[str, Any]]:
        """Open swaps, those with the least time left first; or the newest of all."""

    async def swap(self, name: str) -> dict[str, Any]:
        """One swap, with its transactions and what it waits for."""

    async def transactions(self, chain: str | None) -> list[dict[str, Any]]:
        """The newest transactions, of one chain if one is named, with the fees that were offered, those that may still
        change first; without attestations."""

    async def money(self) -> dict[str, Any]:
        """Accounts with what they hold, keep and have free, what is promised next to its limits, and the newest
        withdrawals."""

    async def fees(self) -> list[dict[str, Any]]:
        """What each account paid for transactions: of a day, of a week, for each swap."""

    async def findings(self) -> list[dict[str, str]]:
        """What the doctor finds: level, about, sentence, remedy."""

    async def pause(self, scope: str, reason: str, drain: bool) -> None:
        """Stop offering and locking: everything (an empty scope) or a chain. Draining also ends the relayer."""

    async def resume(self, scope: str) -> None:
        """Lift what was set."""


class OperatorPages:
    """The pages of one relayer."""

    def __init__(self, frame: Frame, operations: Operations) -> None:
        self._frame = frame
        self._operations = operations

    def routes(self) -> list[web.RouteDef]:
        pages: list[tuple[str, Callable[[Visit], Awaitable[web.Response]]]] = [
            ("/", self._swaps),
            ("/swaps/{id}", self._swap),
            ("/transactions", self._transactions),
            ("/money", self._money),
            ("/health", self._health),
        ]
        return [
            *(web.get(path, self._frame.signed_in(page)) for path, page in pages),
            web.post("/switches/{act:pause|drain|resume}", self._frame.act(self._switch)),
        ]

    async def _swaps(self, visit: Visit) -> web.Response:
        ended, live = "all" in visit.request.query, await visit.follows()
        status, swaps = await self._operations.status(), await self._operations.swaps(ended)
        shown = {"status": status, "swaps": swaps, "ended": ended, "late_s": LATE_S, "live": live}
        return visit.page("operator_swaps.html", "Swaps", **shown)

    async def _swap(self, visit: Visit) -> web.Response:
        swap = await self._operations.swap(visit.request.match_info["id"])
        return visit.page("operator_swap.html", "Swap", swap=swap)

    async def _transactions(self, visit: Visit) -> web.Response:
        live = await visit.follows()
        asked = visit.asked("chain")
        status = await self._operations.status()
        found = await self._operations.transactions(asked.get("chain"))
        chains = [one["chain"] for one in status["chains"]]
        shown = {"transactions": found, "chains": chains, "asked": asked, "live": live}
        return visit.page("operator_transactions.html", "Transactions", **shown)

    async def _money(self, visit: Visit) -> web.Response:
        if visit.late("fees"):
            return visit.page("operator_fees.html", "Money", fees=await self._operations.fees())
        return visit.page("operator_money.html", "Money", money=await self._operations.money(), fees=None)

    async def _health(self, visit: Visit) -> web.Response:
        found = await self._operations.findings() if "look" in visit.request.query else None
        return visit.page("operator_health.html", "Health", status=await self._operations.status(), findings=found)

    async def _switch(self, visit: Visit, form: dict[str, str]) -> web.Response:
        act, scope = visit.request.match_info["act"], form.get("scope", "")
        if act == "resume":
            await self._operations.resume(scope)
        else:
            await self._operations.pause(scope, form.get("reason", ""), act == "drain")
        return redirect("/console/")


def looking(operations: Operations, clock: Clock) -> Callable[[Credentials], tuple[Source, ...]]:
    """What live pages follow here: a relayer has no stream for its operator, so its database is looked at."""

    async def look(begun: Callable[[], None], changed: Callable[[str], None]) -> None:
        before: Any = None
        while True:
            now = lasting(await operations.status(), await operations.swaps(False))
            if before is None:
                begun()
            elif now != before:
                changed(KIND)
            before = now
            await clock.sleep(LOOK_S)

    return lambda _: (look,)


def lasting(status: dict[str, Any], swaps: list[dict[str, Any]]) -> tuple[Any, ...]:
    """What a page shows that does not change by the mere passing of time."""
    chains = [(one["chain"], one["state"]) for one in status["chains"]]
    steps = [tuple(one.get(name) for name in ("id", "phase", "waits_for", "on", "then", "reason")) for one in swaps]
    return status["switches"], status["swaps"], status["effects"], chains, steps
