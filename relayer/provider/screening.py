"""Screening: no new swap with a party that a list names or an order holds. Open swaps go to their end.

It is asked when a swap is opened and once more before our lock; never before a claim or a refund. What cannot be found
out is not traded upon.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import Connection

from core.model.errors import CausewayError, RejectedError, RetryableError
from core.model.ports import OrderReader
from core.model.types import AccountId, ChainId, chain_of
from core.runtime.clock import Clock, show_time
from core.runtime.files import read_dated
from core.runtime.logging import get_logger
from htlc.model import SwapState
from relayer.provider.lists import MAX_LIST_BYTES, Listed, parse_list

MAX_LISTS: Final = 16
LIST_AGE_S: Final = 10.0
"""How often the files are looked at."""
OURS_AGE_S: Final = 5.0
"""How old the word may be that our own accounts are not held: whoever asks for prices does not poll our endpoints."""
ASK_TIMEOUT_S: Final = 5.0

log = get_logger("relayer.provider.screening")


@dataclass(frozen=True, slots=True)
class _Read:
    """A list as it was read, and when its file was written."""

    written_ns: int
    listed: Listed


class Screening:
    """Lists on disk, and the orders of ledgers that have them. Raise `RejectedError` for a list that cannot be read."""

    def __init__(self, lists: Sequence[Path], ledgers: Mapping[ChainId, OrderReader], clock: Clock) -> None:
        if len(lists) > MAX_LISTS:
            raise RejectedError(f"at most {MAX_LISTS} lists are read, not {len(lists)}")
        self._ledgers = ledgers
        self._clock = clock
        self._lists = {path: _read(path) for path in lists}
        self._looked_s = clock.monotonic()
        self._ours: dict[AccountId, float] = {}

    async def check(self, parties: Collection[AccountId]) -> None:
        """Raise `RejectedError` if no swap is made with one of these accounts, `RetryableError` while nobody knows."""
        await self._look()
        for account in sorted(set(parties)):
            refusal = f"this relayer makes no swap with {account}"
            named = [path.name for path, read in self._lists.items() if read.listed.names(account)]
            if named:
                log.warning("a listed party is refused", account=account, list=named[0])
                raise RejectedError(f"{refusal}: it is on a list of addresses, {named[0]}")
            await self._check_held(account, refusal)

    async def check_ours(self, accounts: Collection[AccountId]) -> None:
        """Raise `RejectedError` if one of our own accounts is held: it could not lock."""
        now_s = self._clock.monotonic()
        for account in sorted(accounts):
            if now_s - self._ours.get(account, -OURS_AGE_S) < OURS_AGE_S:
                continue
            await self._check_held(account, f"this relayer offers nothing with its account {account}")
            self._ours[account] = now_s

    # --- before our lock, and never before a reveal (`relayer.pump.checks.Consultation`) -----------------------------

    async def before_lock(self, state: SwapState) -> None:
        """Ask again: an order or a list may be newer than the agreement."""
        agreement = state.agreement
        legs = agreement.initiator_leg, agreement.participant_leg
        parties = {account for leg in legs for account in (leg.sender, leg.receiver)}
        await self.check(parties - set(agreement.own_accounts))

    async def before_giving_up(self, state: SwapState) -> None:
        """Whose lock it is makes no difference."""

    def still_allow_lock(self, connection: Connection, state: SwapState) -> None:
        """It was asked a moment ago."""

    async def before_repeating(self, state: SwapState) -> None:
        """The bytes may have reached nobody: they are our lock still."""
        await self.before_lock(state)

    async def before_reveal(self, state: SwapState) -> None:
        """A reveal takes what was agreed to its end."""

    # --- parts -------------------------------------------------------------------------------------------------------

    async def _check_held(self, account: AccountId, refusal: str) -> None:
        reader = self._ledgers.get(chain_of(account))
        if reader is None:
            return
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                held = await reader.held(account)
        except TimeoutError:
            raise RetryableError(f"{chain_of(account)} does not say if {account} is held") from None
        if held is not None:
            log.warning("a held party is refused", account=account, order=held.order)
            raise RejectedError(f"{refusal}: order {held.order} holds it until {show_time(held.until)}")

    async def _look(self) -> None:
        """Read lists that were written again. One that cannot be read leaves what was read before in force."""
        now_s = self._clock.monotonic()
        if not self._lists or now_s - self._looked_s < LIST_AGE_S:
            return
        self._looked_s = now_s
        for path, known in list(self._lists.items()):
            try:
                self._lists[path] = await asyncio.to_thread(_read, path, known)
            except CausewayError as error:
                log.error("a screening list cannot be read", list=str(path), reason=error.message)


def check_list(path: Path) -> Listed:
    """Read a list. Raise `RejectedError` with what is wrong in it."""
    return _read(path).listed


def _read(path: Path, known: _Read | None = None) -> _Read:
    raw, written_ns = read_dated(path, MAX_LIST_BYTES, "the list")
    if known is not None and known.written_ns == written_ns:
        return known
    try:
        return _Read(written_ns, parse_list(raw))
    except RejectedError as error:
        raise RejectedError(f"the list {path}: {error.message}") from None
