"""Webhooks: every change of a swap reaches its server, signed, and what it took is not sent again."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.runtime.clock import NS_PER_S
from core.runtime.deliveries import DeliveryStatus, deliveries
from gateway.simulation.plan import FORGETFUL, Rough
from gateway.simulation.process import Relayer
from gateway.simulation.regulator import HOOK, Posted
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from relayer.pump.tables import relayer_swaps

NOTED_S: Final = 30.0
"""How long a change of a swap may wait until a message about it is written down, the time to come back included."""
DUE_S: Final = 60.0
"""How long a message may be overdue: a server that hangs takes as long as that for some."""
MANY: Final = 100
"""Half of what may wait for an address: what changes next may have to wait for its turn."""
BACK_S: Final = 1.0
UNSURE: Final = FORGETFUL | {Rough.TWO_PROCESSES, Rough.DATABASE_AWAY}
"""In these a process may not know what it has sent."""


async def problems(record: Record) -> list[Problem]:
    """Every message that is missing, wrong, or one too many."""
    if record.plan.regulator is None:
        return []
    found = [*_unsigned(record.world.posted), *_twice(record)]
    for relayer in record.relayers:
        found += await relayer.database.read(lambda c, one=relayer: list(_never(c, record, one)))  # type: ignore[misc]
    return found


def _unsigned(posted: list[Posted]) -> Iterator[Problem]:
    """Standard Webhooks 1.0: HMAC-SHA-256 over id, timestamp and body, joined by dots."""
    for one in posted:
        name, at_s = one.headers.get("webhook-id", ""), one.headers.get("webhook-timestamp", "")
        seal = hmac.new(HOOK.secret, f"{name}.{at_s}.".encode() + one.body, hashlib.sha256).digest()
        if one.headers.get("webhook-signature") != "v1," + base64.b64encode(seal).decode():
            yield Problem(Kind.HOOK_UNSIGNED, f"{one.party} posts {name}, whose signature does not hold")


def _twice(record: Record) -> Iterator[Problem]:
    """A message that was taken stays taken, while its process lives and stores that; and one change is one message."""
    taken: dict[tuple[str, str], float] = {}
    named: dict[tuple[str, str, int], str] = {}
    for one in record.world.posted:
        key = one.party, one.headers.get("webhook-id", "")
        data = json.loads(one.body)["data"]
        about = one.party, str(data["id"]), int(data["version"])
        party = record.process(one.party).party
        # Whoever takes over does not know what its predecessor has posted and not stored.
        unsure = record.plan.rough & UNSURE or party.locked or party.outages or record.plan.leading is not None
        first = named.setdefault(about, key[1])
        if first != key[1] and not record.plan.rough & UNSURE:
            text = f"{one.party} posts {first} and {key[1]} about one change of {data['id'][:8]}"
            yield Problem(Kind.HOOK_TWICE, text)
        before_s = taken.get(key)
        if before_s is not None and not unsure and not record.was_away(one.party, before_s - BACK_S, one.at_s):
            yield Problem(Kind.HOOK_TWICE, f"{one.party} posts {key[1]} again, which was taken before")
        if one.taken:
            taken.setdefault(key, one.at_s)


def _never(connection: Connection, record: Record, relayer: Relayer) -> Iterator[Problem]:
    """In the end there is a message about how each swap ended, which waits, or was taken."""
    if record.plan.rough & UNSURE:
        return
    now_ns, name = record.world.clock.now_ns(), relayer.name
    began_s = record.world.clock.now() - record.world.seconds
    back_s = began_s + max((up for _, up in relayer.away), default=0.0)
    noted_s = NOTED_S + (abs(record.plan.clock_off_s) if name == record.plan.clock_of else 0)
    rows = connection.execute(sa.select(deliveries).where(deliveries.c.destination == HOOK.id)).all()
    of_swap: dict[str, list[Any]] = {}
    for row in rows:
        of_swap.setdefault(row.topic, []).append(row)
    many_wait = sum(row.status == DeliveryStatus.PENDING for row in rows) >= MANY
    ended = sa.select(relayer_swaps.c.swap_id, relayer_swaps.c.phase, relayer_swaps.c.updated_ns).where(
        relayer_swaps.c.done
    )
    for swap in connection.execute(ended):
        since_s = max(swap.updated_ns / NS_PER_S, back_s)
        about = [json.loads(row.body)["data"]["phase"] for row in of_swap.get(swap.swap_id, [])]
        if swap.phase not in about and record.world.clock.now() - since_s > noted_s and not many_wait:
            yield Problem(Kind.HOOK_NEVER, f"{name} reports nowhere that {swap.swap_id[:8]} is {swap.phase}")
    # A server that does not answer gets one of them at a look: the others wait, however many they are.
    posted = [one.at_s for one in record.world.posted if one.party == name]
    idle = record.world.clock.now() - max([back_s, *posted]) > DUE_S
    got = {one.headers.get("webhook-id") for one in record.world.posted if one.taken and one.party == name}
    for row in rows:
        message = f"msg_{HOOK.id}_{row.id}"
        if row.status == DeliveryStatus.TAKEN and message not in got:
            yield Problem(Kind.HOOK_NEVER, f"{name} notes {message} as taken, and nobody took it")
        is_late = row.due_ns is not None and now_ns / NS_PER_S - max(row.due_ns / NS_PER_S, back_s) > DUE_S
        if row.status == DeliveryStatus.PENDING and is_late and idle and not _is_behind(rows, row):
            yield Problem(Kind.HOOK_NEVER, f"{name} leaves {message} lying, though it is due")


def _is_behind(rows: Any, row: Any) -> bool:
    """Another message about the same swap has to go first."""
    return any(one.topic == row.topic and one.id < row.id and one.status == DeliveryStatus.PENDING for one in rows)
