"""`causeway relayer pause|resume|drain|status`: a relayer's switches, in its database, whoever works on it."""

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.model.identifiers import parse_asset, parse_chain
from core.runtime import journal
from core.runtime.clock import NS_PER_S, SystemClock
from gateway.config import RelayerConfig
from gateway.config.faults import choices
from gateway.daemons.parts import existing_database
from indexer import store
from relayer import reloads, switchboard
from relayer.pump import tables
from relayer.switches import EVERYTHING, Cause, Scope, Switch, pair_scope

T = TypeVar("T")

LOOK_S: Final = 1.0
ANSWER_LOOK_S: Final = 0.25
_LENGTH: Final = re.compile(r"([1-9][0-9]{0,7})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def scope_of(config: RelayerConfig, named: Sequence[str]) -> Scope:
    """Return the scope that words name: none everything, one a chain, two what a pair takes and what it gives.

    Raise `RejectedError` for a chain or a pair that is not configured.
    """
    match list(named):
        case [] | ["all"]:
            return EVERYTHING
        case [chain]:
            wanted, known = parse_chain(chain), [one.id for one in config.chains]
            if wanted not in known:
                raise RejectedError(f"{wanted} is not a configured chain: {choices(wanted, known)}")
            return Scope(wanted)
        case [give, get]:
            scope = pair_scope(parse_asset(give), parse_asset(get))
            pairs = [f"{one.give} {one.get}" for one in config.pairs]
            if scope.replace(">", " ") not in pairs:
                raise RejectedError(f"no pair gives {get} for {give}: {choices(f'{give} {get}', pairs)}")
            return scope
        case _:
            raise RejectedError("name nothing for everything, one chain, or the two assets of a pair: give, then get")


def end_of(until: str | None, length: str | None, now_ns: int) -> int | None:
    """Return when a pause ends, in nanoseconds since the Unix epoch, None if neither says.

    `until`: ISO 8601 with a zone; `length`: a whole number and s, m, h or d. Raise `RejectedError`.
    """
    if until is not None and length is not None:
        raise RejectedError("--until and --for are two ends of one pause: give one of them")
    if length is not None:
        found = _LENGTH.fullmatch(length)
        if found is None:
            raise RejectedError(f"--for {length[:40]!r} is not a length of time such as 30m, 2h or 1d")
        return now_ns + int(found[1]) * _SECONDS[found[2]] * NS_PER_S
    if until is None:
        return None
    try:
        moment = datetime.fromisoformat(until)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise RejectedError(f"--until {until[:40]!r} is not a time with its zone, such as 2026-12-01T09:30Z")
    return round(moment.timestamp()) * NS_PER_S


async def put(
    config: RelayerConfig, base: Path, scope: Scope, cause: Cause, reason: str, until_ns: int | None
) -> Switch:
    """Store a switch and return it. Raise `NotFoundError` without a database, `RejectedError` for what makes none."""
    switch = Switch(scope, cause, reason, SystemClock().now_ns(), until_ns)
    await _write(config, base, lambda c: switchboard.set_switch(c, switch))
    return switch


async def lifted(config: RelayerConfig, base: Path, scope: Scope | None) -> tuple[list[Switch], list[Switch]]:
    """Lift the operator's switches of a scope, None for all. Return those, and what still holds."""
    now_ns = SystemClock().now_ns()
    return await _write(config, base, lambda c: (switchboard.lift(c, scope), switchboard.standing(c, now_ns)))


async def drained(config: RelayerConfig, base: Path, show: Callable[[int], None]) -> None:
    """Wait until no swap is open. `show` hears how many are, each time that it is another number."""
    last = None
    async with existing_database(config.database, base) as database:
        while count := await database.read(_open_swaps):
            if count != last:
                show(count)
            last = count
            await asyncio.sleep(LOOK_S)


async def collect_status(config: RelayerConfig, base: Path) -> dict[str, Any]:
    """Return what the database says of a relayer: its switches, open swaps by state, and chains."""
    now_ns = SystemClock().now_ns()

    def read(connection: Connection) -> dict[str, Any]:
        return {
            "name": config.name,
            "switches": [shown(one) for one in switchboard.standing(connection, now_ns)],
            "swaps": {phase.value: count for phase, count in sorted(tables.counts_by_phase(connection).items())},
            "effects": journal.count_pending(connection),
            "chains": [_chain(row) for row in store.chain_rows(connection)],
        }

    return await _read(config, base, read)


def shown(switch: Switch) -> dict[str, Any]:
    """As `--json` has it; times are Unix seconds."""
    return {
        "scope": switch.scope,
        "cause": switch.cause.value,
        "reason": switch.reason,
        "since": switch.since_ns // NS_PER_S,
        "until": switch.until_s if switch.cause.by_operator else None,
        "sentence": switch.sentence,
    }


def _chain(row: store.ChainRow) -> dict[str, Any]:
    return {
        "chain": row.chain,
        "state": row.state,
        "head": row.head_height,
        "finalized": None if row.finalized is None else row.finalized.height,
        "age_s": None if row.tip is None else max(0, round(time.time() - row.tip.time.seconds)),
    }


def _open_swaps(connection: Connection) -> int:
    return sum(tables.counts_by_phase(connection).values())


async def _write(config: RelayerConfig, base: Path, work: Callable[[Connection], T]) -> T:
    async with existing_database(config.database, base) as database:
        return await database.write(work)


async def _read(config: RelayerConfig, base: Path, work: Callable[[Connection], T]) -> T:
    async with existing_database(config.database, base) as database:
        return await database.read(work)


def moment(seconds: int) -> str:
    """Unix seconds for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def reloaded(config: RelayerConfig, base: Path, digest: bytes, wait_s: float) -> tuple[int, list[reloads.Answer]]:
    """Ask every process of a relayer to read its file again. Return the number of the reload, and what they answered.

    The first answer ends the wait of `wait_s` seconds, 0 for none; processes that answer later are not waited for.
    """
    clock = SystemClock()
    async with existing_database(config.database, base) as database:
        number = await database.write(lambda c: reloads.ask(c, digest, clock.now_ns()))
        until_s = clock.monotonic() + wait_s
        while clock.monotonic() < until_s:
            if found := await database.read(lambda c: reloads.answers_to(c, number)):
                return number, found
            await asyncio.sleep(ANSWER_LOOK_S)
        return number, await database.read(lambda c: reloads.answers_to(c, number))
