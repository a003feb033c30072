"""`causeway swap list|show|explain|replay`: a relayer's or a dApp's swaps out of its database, whoever works on it.

Nothing is written, and no chain is asked: what is shown is what the process knows.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError
from core.model.types import AssetId, ChainId, SwapId
from core.runtime import journal
from core.runtime.clock import NS_PER_S
from gateway.config import RelayerConfig
from gateway.daemons.parts import existing_database
from htlc import codec, engine
from htlc.events import event_name
from htlc.explain import final_words, history, waits_for
from htlc.model import SWAP_ID_BYTES, Leg, SwapState
from relayer.bridging.attestor import ATTESTATIONS
from relayer.pump import tables
from relayer.transactions import records

T = TypeVar("T")
_OF_A_SWAP: Final = re.compile(f"([0-9a-f]{{{2 * SWAP_ID_BYTES}}}):")
"""The key of a swap's effect begins with the swap's id."""

MAX_LISTED: Final = 200
MIN_PREFIX: Final = 4
"""The fewest first digits of its id that name a swap, if they are one swap's only."""


@dataclass(frozen=True, slots=True)
class Place:
    """A database as a configuration names it, or by its own URL."""

    url: str
    base: Path

    @classmethod
    def of(cls, config: RelayerConfig, base: Path) -> "Place":
        return cls(config.database, base)


async def listed(place: Place, now_s: float, *, ended: bool = False, limit: int = MAX_LISTED) -> list[dict[str, Any]]:
    """Return open swaps, those with the least time left first; with `ended` the newest of all. Raise `NotFoundError`
    without a database."""

    def work(connection: Connection) -> list[dict[str, Any]]:
        rows = tables.newest_ids(connection, limit) if ended else tables.open_ids(connection)[:limit]
        return [_line(engine.load(connection, swap_id), now_s) for swap_id in rows]

    found = await _read(place, work)
    return found if ended else sorted(found, key=lambda line: line["seconds_left"])


async def shown(place: Place, named: str, now_s: float) -> dict[str, Any]:
    """Return all that is known of one swap. Raise `NotFoundError`, or `RejectedError` for a name of several."""

    def work(connection: Connection) -> dict[str, Any]:
        swap_id = _found(connection, named)
        state = engine.load(connection, swap_id)
        row = tables.swap_row(connection, swap_id)
        return {
            **_line(state, now_s),
            "hashlock": state.agreement.hashlock.hex(),
            "quote": row.quote_id,
            "created": _time(row.created_ns / NS_PER_S),
            "updated": _time(row.updated_ns / NS_PER_S),
            "events": state.sequence,
            "legs": {leg.value: _leg(state, leg) for leg in Leg},
            "seen": [
                {
                    "what": one.what,
                    "chain": one.chain,
                    "block": one.height,
                    "block_hash": one.block_hash.hex(),
                    "transaction": one.tx_hash.hex(),
                    "final": one.final,
                }
                for one in history(state)
            ],
            "effects": [
                {
                    "kind": one.kind,
                    "status": one.status.value,
                    "attempts": one.attempts,
                    "due": _time(one.due_ns / NS_PER_S),
                    "error": one.error,
                }
                for one in journal.stream_effects(connection, swap_id)
            ],
            "transactions": [_transaction(one) for one in records.of_effect_prefix(connection, f"{swap_id}:")],
        }

    return await _read(place, work)


def swaps_of(record: records.TransactionRecord) -> set[SwapId]:
    """Return the swaps that a transaction is for."""
    return {SwapId(name[1]) for item in record.effects if (name := _OF_A_SWAP.match(item.effect_key))}


async def transactions(place: Place, limit: int, chain: str | None = None) -> list[dict[str, Any]]:
    """Return the newest transactions, of one chain if one is named, those that may still change first, each with the
    swaps that it is for. Attestations, of which every block has some, are left out."""

    def work(connection: Connection) -> list[dict[str, Any]]:
        newest = records.newest(connection, limit, None if chain is None else ChainId(chain), without=(ATTESTATIONS,))
        found = sorted(newest, key=lambda one: not one.open)
        return [
            {
                **_transaction(one),
                "account": one.account,
                "signed_s": one.created_ns // NS_PER_S,
                "open": one.open,
                "swaps": sorted(swaps_of(one)),
            }
            for one in found
        ]

    return await _read(place, work)


async def replayed(place: Place, named: str) -> dict[str, Any]:
    """Go through a swap's journal again, and hold the result against the stored state. Raise as `shown`, and
    `FatalError` if they differ."""

    def work(connection: Connection) -> dict[str, Any]:
        swap_id = _found(connection, named)
        engine.check_replay(connection, swap_id)
        events = [
            {"number": entry.sequence, "event": event_name(codec.decode_event(entry.event))}
            for entry in journal.replay(connection, swap_id)
        ]
        return {"swap": swap_id, "phase": engine.load(connection, swap_id).phase.value, "events": events, "same": True}

    return await _read(place, work)


async def _read(place: Place, work: Callable[[Connection], T]) -> T:
    async with existing_database(place.url, place.base, "nothing has run with this configuration yet") as database:
        return await database.read(work)


def _found(connection: Connection, named: str) -> SwapId:
    name = named.strip().lower()
    if len(name) < MIN_PREFIX or not all(one in "0123456789abcdef" for one in name):
        raise RejectedError(
            f"{named[:40]!r} is not a swap's id: write its first {MIN_PREFIX} or more hexadecimal digits"
        )
    found = tables.ids_from(connection, name, 2)
    if not found:
        raise NotFoundError(f"no swap begins with {name[:64]}: `causeway swap list --all` shows them")
    if len(found) > 1:
        raise RejectedError(f"several swaps begin with {name[:64]}: write more of the id")
    return found[0]


def _line(state: SwapState, now_s: float) -> dict[str, Any]:
    waiting = waits_for(state)
    nearest_s = min(state.agreement.terms(leg).timelock.seconds for leg in Leg)
    return {
        "id": state.swap_id,
        "role": state.agreement.role.value,
        "phase": state.phase.value,
        "gives": _amount(state, Leg.INITIATOR),
        "gets": _amount(state, Leg.PARTICIPANT),
        "waits_for": waiting.sentence,
        "on": waiting.chain,
        "until": None if waiting.until_s is None else _time(waiting.until_s),
        "then": waiting.then,
        "seconds_left": round((nearest_s if waiting.until_s is None else waiting.until_s) - now_s),
        "reason": None if state.closed is None else state.closed.message,
    }


def _amount(state: SwapState, leg: Leg) -> Mapping[str, str]:
    terms = state.agreement.terms(leg)
    return {"asset": AssetId(terms.asset), "base_units": str(terms.amount)}


def _leg(state: SwapState, leg: Leg) -> dict[str, Any]:
    terms, facts = state.agreement.terms(leg), state.leg(leg)
    return {
        **_amount(state, leg),
        "sender": terms.sender,
        "receiver": terms.receiver,
        "timelock": _time(terms.timelock.seconds),
        "status": final_words(facts),
        "lock": facts.lock_id,
    }


def _transaction(one: records.TransactionRecord) -> dict[str, Any]:
    fee = one.newest.fee
    return {
        "what": one.summary,
        "chain": one.chain,
        "sequence": one.sequence,
        "status": one.status.value + (" (reverted)" if one.reverted else ""),
        "hash": (one.tx_hash or one.newest.hash).hex(),
        "block": None if one.block is None else one.block.height,
        "signed": len(one.attempts),
        "max_fee": None if fee is None else str(fee.max_fee),
        "reason": one.reason,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
