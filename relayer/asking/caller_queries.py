"""Asks for callers, look after look, until each of their questions is answered or ends.

A query is looked at until its deadline: what cannot be proven yet is asked for again, whatever else goes wrong with an
endpoint, too. It is stored with every answer, so that it goes on after a restart. Who follows a query waits for its
signal and looks at the database.
"""

import asyncio
import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Final
from weakref import WeakValueDictionary

import msgspec

from core.model.errors import CausewayError, ConflictError, FatalError, NotFoundError, RetryableError
from core.model.ports import Prover
from core.model.types import Height
from core.model.uris import Asked, print_uri
from core.runtime.clock import Clock, SecretSource
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.metrics import Metrics
from core.runtime.signals import Signal
from core.runtime.supervisor import Worker
from queries.together import Answered, ask_together
from relayer.asking import query, rows
from relayer.asking.query import MAX_EVIDENCE_BYTES, Part, Standing
from relayer.asking.rows import Stored
from relayer.metrics import RelayerMetrics

PROOF_TIMEOUT_S: Final = 20.0
"""How long the proofs of one query about one chain may take."""
LOOK_S: Final = 1.0
"""Between two looks while queries are open."""
IDLE_LOOK_S: Final = 10.0
MAX_A_LOOK: Final = 32
"""Queries that one look tries, those first that wait longest for their turn."""
MAX_AT_ONCE: Final = 8
QUERY_ID_BYTES: Final = 16
NEVER: Final = float("-inf")

log = get_logger("relayer.asking.caller_queries")


class CallerQueries:
    """The open queries of all callers. `prover` is None if this relayer proves nothing."""

    def __init__(
        self,
        database: Database,
        prover: Prover | None,
        clock: Clock,
        secrets: SecretSource,
        metrics: RelayerMetrics | None = None,
    ) -> None:
        self.prover = prover
        self._metrics = metrics or RelayerMetrics(Metrics())
        self._database = database
        self._clock = clock
        self._secrets = secrets
        self._asked = Signal()
        self._changes: WeakValueDictionary[str, Signal] = WeakValueDictionary()
        self._tried: dict[str, float] = {}

    def workers(self) -> list[Worker]:
        return [] if self.prover is None else [Worker("caller queries", self.run, contained=True)]

    async def begin(
        self,
        asked: Sequence[Asked],
        trusted: Height | None,
        caller: str,
        open_s: int,
        known: Sequence[Answered] | None = None,
    ) -> Stored:
        """Store a query that is open for `open_s` seconds, with the answers that are `known` for its questions, in
        their order. The same questions of the same caller are the same query while it is open.

        Raise `TooManyError` if too many are open, `RejectedError` for a question that no URI says.
        """
        now_ns, now_s = self._clock.now_ns(), int(self._clock.now())
        nonce = self._secrets.token_bytes(QUERY_ID_BYTES)
        # Its time counts in whole seconds, and none of them is cut.
        deadline_s = math.ceil(self._clock.now()) + open_s
        parts = query.begin(asked, nonce, deadline_s, now_s)
        if known is not None:
            parts = _answered(parts, dict(enumerate(known)), now_s)
        new = rows.new(nonce.hex(), trusted, now_ns, deadline_s, parts)
        call = hashlib.sha256(msgspec.json.encode([[part.uri for part in parts], trusted])).digest()
        stored = await self._database.write(lambda c: rows.add(c, new, caller, call, now_ns))
        self._asked.notify()
        return stored

    async def find(self, query_id: str) -> Stored:
        """Raise `NotFoundError`."""
        return await self._database.read(lambda c: rows.load(c, query_id))

    async def remove(self, query_id: str) -> Stored:
        """Delete a query that nobody wants any more, with its answers, and return it as it was.

        Proofs that are being made for it go nowhere. Raise `NotFoundError`.
        """
        found = await self._database.write(lambda c: rows.remove(c, query_id))
        if found.standing is Standing.WAITING:
            self._metrics.caller_queries.labels("deleted").inc()
        if (signal := self._changes.get(query_id)) is not None:
            signal.notify()
        return found

    def changes(self, query_id: str) -> Signal:
        """The signal that counts up with every change of a query. Keep it as long as you wait for it."""
        return self._changes.setdefault(query_id, Signal())

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            seen = self._asked.count
            opened = await self.look()
            await self._asked.wait_beyond(seen, LOOK_S if opened else IDLE_LOOK_S)

    async def look(self) -> int:
        """Try the queries whose turn it is, and end those whose time is over; return how many are open."""
        opened = await self._database.read(lambda c: rows.open_queries(c, rows.MAX_OPEN))
        self._metrics.open_queries.set(len(opened))
        self._tried = {query_id: self._tried.get(query_id, NEVER) for query_id, _ in opened}
        over = [query_id for query_id, deadline_s in opened if deadline_s <= self._clock.now()]
        due = sorted(self._tried.keys() - set(over), key=lambda one: (self._tried[one], one))[:MAX_A_LOOK]
        places = asyncio.Semaphore(MAX_AT_ONCE)

        async def turn(query_id: str, asks: bool) -> None:
            async with places:
                await self._turn(query_id, asks)

        await asyncio.gather(*(turn(one, False) for one in over), *(turn(one, True) for one in due))
        return len(opened)

    async def _turn(self, query_id: str, asks: bool) -> None:
        """One look at one query. What goes wrong with it stops no other."""
        self._tried[query_id] = self._clock.monotonic()
        try:
            before = await self.find(query_id)
            found = await self._ask(before) if asks else {}
            now_s, now_ns = int(self._clock.now()), self._clock.now_ns()
            parts = _answered(before.parts, found, now_s)
            if all(map(_looks_alike, before.parts, parts)):
                return
            after = await self._database.write(partial(rows.save, before=before, parts=parts, now_ns=now_ns))
        except ConflictError as error:
            log.info("a query was moved by another process", query_id=query_id, reason=error.message)
            return
        except NotFoundError:
            log.info("a query was deleted meanwhile", query_id=query_id)
            return
        except FatalError as error:
            log.error("a query cannot be read, and goes", query_id=query_id, reason=error.message)
            await self._database.write(lambda c: rows.forget(c, query_id))
            return
        if after.version > before.version and (signal := self._changes.get(query_id)) is not None:
            signal.notify()
        if after.standing is not Standing.WAITING:
            self._metrics.caller_queries.labels(after.standing).inc()
            log.info("a query has ended", query_id=query_id, standing=after.standing)

    async def _ask(self, before: Stored) -> dict[int, Answered]:
        """Answers by place. One chain that does not answer costs no other its answers."""
        waiting = sorted(query.wanted(before.parts), key=lambda one: one[1].question.chain)
        groups = [list(group) for _, group in groupby(waiting, key=lambda one: one[1].question.chain)]
        found = await asyncio.gather(*(self._ask_chain(group, before.trusted) for group in groups))
        return {place: one for answers in found for place, one in answers.items()}

    async def _ask_chain(self, group: Sequence[tuple[int, Asked]], trusted: Height | None) -> dict[int, Answered]:
        places, asked = [place for place, _ in group], [one for _, one in group]
        return dict(zip(places, await ask_in_time(self.prover, asked, trusted), strict=True))


async def ask_once(prover: Prover | None, asked: Sequence[Asked], trusted: Height | None) -> list[Answered]:
    """Answers as `ask_together` gives them. Raise as it does, and `RetryableError` after `PROOF_TIMEOUT_S`."""
    assert prover is not None
    try:
        async with asyncio.timeout(PROOF_TIMEOUT_S):
            return await ask_together(prover, asked, trusted)
    except TimeoutError:
        raise RetryableError(f"there is no proof after {PROOF_TIMEOUT_S:.0f} s: ask again, or for less") from None


async def ask_in_time(prover: Prover | None, asked: Sequence[Asked], trusted: Height | None) -> list[Answered]:
    """Answers as `ask_once` gives them; what it raises is the answer to each question."""
    late: CausewayError
    try:
        return await ask_once(prover, asked, trusted)
    except CausewayError as error:
        late = error
    except Exception as error:
        log.error("a prover failed", uri=print_uri(asked[0].question), exc_info=error)
        late = RetryableError(f"the prover failed: {type(error).__name__}")
    return [late] * len(asked)


def _answered(parts: Sequence[Part], found: Mapping[int, Answered], now_s: int) -> tuple[Part, ...]:
    """The questions after these answers, by place, and at this time."""
    after = list(parts)
    for place, part in enumerate(parts):
        if place in found:
            room = MAX_EVIDENCE_BYTES - query.size(after)
            after[place] = query.answer(part, found[place], now_s, room)
        else:
            after[place] = query.pass_time(part, now_s)
    return tuple(after)


def _looks_alike(before: Part, after: Part) -> bool:
    """Return true if nothing but time has passed: the next look brings newer times."""
    return before.standing is after.standing and (before.problem, before.detail) == (after.problem, after.detail)
