"""A relayer's API as a client's process finds it: closed while the relayer is down, and not always honest."""

import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar

from msgspec.structs import replace

from core.model.errors import RetryableError
from gateway.simulation.mortal import Crash
from gateway.simulation.plan import POLICY
from gateway.simulation.world import World
from htlc.model import swap_id
from relayer.api import wire
from relayer.api.answers import Answers
from relayer.api.bodies import LegBody, QuoteBody, QuoteCall, RelayerBody, SwapBody, SwapCall

T = TypeVar("T")

BENT_SHARE: Final = 0.3
"""Of the answers to openings, those that a relayer bends which bends any."""
BENDS: Final = ("longer", "closer", "closer", "shorter", "less", "for another")
LONG_S: Final = 3_600
"""How much longer than quoted such a relayer would have an initiator's money locked."""


class Behind(Protocol):
    """The relayer behind a door."""

    world: World
    name: str

    def answers(self) -> Answers | None:
        """Return its API; None while it is down."""


class Door:
    """The transport of a `SwapClient`. Raise `RetryableError` where nobody answers."""

    def __init__(self, relayer: Behind) -> None:
        self._relayer = relayer
        self._faults = relayer.world.faults
        plan = relayer.world.plan
        self._bends = random.Random(f"{relayer.name}/{plan.seed}/bends") if plan.bending else None
        self._in_turn = deque(dict.fromkeys(BENDS)) if plan.is_rare else None
        """If all answers are bent, the ways that come next."""

    async def relayer(self) -> RelayerBody:
        return await self._asked(lambda answers: answers.relayer())

    async def quote(self, call: QuoteCall) -> QuoteBody:
        return await self._asked(lambda answers: answers.quote(call))

    async def open_swap(self, call: SwapCall) -> SwapBody:
        answer = await self._asked(lambda answers: answers.open_swap(call))
        if self._bends is None or (self._in_turn is None and self._bends.random() >= BENT_SHARE):
            return answer
        self._faults["bent-answer"] += 1
        if self._in_turn is None:
            return _bent(answer, self._bends.choice(BENDS))
        self._in_turn.rotate(-1)
        return _bent(answer, self._in_turn[-1])

    async def _asked(self, question: Callable[[Answers], Coroutine[Any, Any, T]]) -> T:
        answers = self._relayer.answers()
        if answers is None:
            raise RetryableError("nobody answers at the relayer's address")
        try:
            return await question(answers)
        except Crash:
            raise RetryableError("the connection was lost") from None


def _bent(answer: SwapBody, how: str) -> SwapBody:
    """The answer with one thing in it that was not quoted, and with the id that these terms have."""
    first, second = answer.initiator, answer.participant
    match how:
        case "longer":
            first = _with(first, timelock=first.terms.timelock + LONG_S)
        case "closer":
            first = _with(first, timelock=first.terms.timelock - POLICY.participant_outage_s)
        case "shorter":
            second = _with(second, timelock=second.terms.timelock - 2 * POLICY.lock_s)
        case "less":
            second = _with(second, amount=str(int(second.terms.amount) - 1))
        case _:
            second = _with(second, receiver=second.terms.sender)
    name = swap_id(wire.terms_from(first.terms), wire.terms_from(second.terms))
    return replace(answer, initiator=first, participant=second, id=name)


def _with(leg: LegBody, **changes: Any) -> LegBody:
    return replace(leg, terms=replace(leg.terms, **changes))
