"""Questions asked before a swap locks or reveals: the caller's hooks, and the client's own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, RejectedError, RetryableError
from core.model.types import LockTerms, SwapId
from core.runtime.database import Database
from htlc.model import SwapState
from indexer import feed
from relayer.pump import swaps

HOLD_LOOK_S: Final = 0.5
"""How often a step that a caller holds back looks for the end of its time."""

Hook = Callable[[SwapState], Awaitable[None]]
"""Awaited before a step; the step goes on when it returns, and is called off for good when it raises."""


class Hooks:
    """The callers' hooks, by swap and step. Forgotten with the process."""

    def __init__(self) -> None:
        self._hooks: dict[tuple[SwapId, str], Hook] = {}
        self._asked: dict[tuple[SwapId, str], asyncio.Task[None]] = {}

    def set(self, swap_id: SwapId, before_lock: Hook | None, before_reveal: Hook | None) -> None:
        """A step that has asked its hook already stays with the one it asked."""
        for step, hook in (("lock", before_lock), ("reveal", before_reveal)):
            if hook is not None and (swap_id, step) not in self._asked:
                self._hooks[swap_id, step] = hook

    def close(self) -> None:
        """Only when nothing runs any more: a hook that is cancelled calls its step off."""
        for asked in self._asked.values():
            asked.cancel()

    def forget(self, swap_id: SwapId) -> None:
        for step in ("lock", "reveal"):
            self._hooks.pop((swap_id, step), None)
            if (asked := self._asked.pop((swap_id, step), None)) is not None:
                asked.cancel()

    async def passed(self, swap_id: SwapId, step: str, state: SwapState, over: Callable[[], Awaitable[bool]]) -> None:
        """Return once the hook has; asked once, however often the step is tried.

        Raise `RejectedError` if the hook does, or if `over` says that the swap has moved on meanwhile.
        """
        hook = self._hooks.get((swap_id, step))
        if hook is None:
            return
        asked = self._asked.get((swap_id, step))
        if asked is None:
            asked = self._asked[swap_id, step] = asyncio.ensure_future(hook(state))
        while not asked.done():
            await asyncio.wait({asked}, timeout=HOLD_LOOK_S)
            if not asked.done() and await over():
                raise ConflictError(f"the {step} was held back until its time was over", swap_id=swap_id)
        try:
            asked.result()
        except (Exception, asyncio.CancelledError) as error:
            raise RejectedError(
                f"the {step} was called off: {error or type(error).__name__}", swap_id=swap_id
            ) from error


class Copies(Protocol):
    """A client's word on what other copies of its store may have done."""

    async def known(self, state: SwapState) -> None:
        """Raise `RetryableError` until nothing is hidden any more that they may have done for this swap."""

    def still_known(self, connection: Connection, state: SwapState) -> None:
        """Raise `RetryableError` if something has come up since `known` returned."""

    async def may_be_given_up(self, state: SwapState) -> None:
        """Raise `RetryableError` while our lock, which is refused here, may be one of theirs."""


class ClientConsultation:
    """A `Consultation`: the chains' newest facts first, then the caller."""

    def __init__(self, database: Database, hooks: Hooks, copies: Copies) -> None:
        self._database = database
        self._hooks = hooks
        self._copies = copies

    async def before_lock(self, state: SwapState) -> None:
        """The store may be a copy, of which the original went on: what the chains show by now comes first.

        Raise `ConflictError` if our leg was locked before.
        """
        await self._copies.known(state)
        own = state.agreement.own_leg
        if own is not None and await self._is_locked(state.agreement.terms(own)):
            raise ConflictError("our leg was locked before, as its chain shows: it is not funded again")
        await self._hooks.passed(state.swap_id, "lock", state, lambda: self._is_over(state.swap_id))

    async def before_giving_up(self, state: SwapState) -> None:
        """Whatever refuses the lock, another copy may have made it.

        Raise `RetryableError` as `Copies.may_be_given_up`, and for a lock that was read and is not taken in yet.
        """
        await self._copies.may_be_given_up(state)
        own = state.agreement.own_leg
        if own is not None and state.leg(own).lock_id is None and await self._is_locked(state.agreement.terms(own)):
            raise RetryableError("our leg was locked before, as its chain shows: that is taken in first")

    def still_allow_lock(self, connection: Connection, state: SwapState) -> None:
        """An endpoint that was behind may have shown since that the account was used."""
        self._copies.still_known(connection, state)

    async def before_repeating(self, state: SwapState) -> None:
        """The caller has let it pass before it was signed."""

    async def before_reveal(self, state: SwapState) -> None:
        await self._hooks.passed(state.swap_id, "reveal", state, lambda: self._is_over(state.swap_id))

    async def _is_locked(self, terms: LockTerms) -> bool:
        return len(await self._database.read(lambda c: feed.history_of(c, terms, 1))) > 0

    async def _is_over(self, swap_id: SwapId) -> bool:
        state = await self._database.read(lambda c: swaps.load(c, swap_id))
        return state.closed is not None or state.phase.terminal
