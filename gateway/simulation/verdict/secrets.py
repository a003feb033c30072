"""Preimages in bytes that left their owner, in logs, or with others, before their reveal."""

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.types import Preimage
from gateway.simulation.process import Process
from gateway.simulation.verdict.problem import Kind, Problem
from gateway.simulation.verdict.record import Record
from relayer.client.store import client_swaps


async def problems(record: Record) -> list[Problem]:
    """Every preimage that somebody could have known too early."""
    found: list[Problem] = []
    dumps = {one.name: await one.database.read(contents) for one in record.processes if one not in record.dapps}
    for dapp in record.dapps:
        for preimage in await dapp.database.read(_preimages):
            found += _leaks(record, preimage.expose(), dapp, dumps)
    return found


def _leaks(record: Record, preimage: bytes, owner: Process, dumps: dict[str, bytes]) -> Iterator[Problem]:
    """In what was sent, simulated, asked or logged before the reveal; in the databases of others, if there was none."""
    wire = record.world.wire
    at = next((at for at, sent in enumerate(wire.sent) if preimage in sent.body.preimages), None)
    reveal_s = None if at is None else wire.sent[at].at_s
    for at_s, who, body in wire.shown:
        if holds(body, preimage) and (reveal_s is None or at_s < reveal_s):
            yield Problem(Kind.PREIMAGE_SHOWN, f"{who} shows a preimage of {owner.name} before its reveal")
    if any(holds(text.encode(), preimage) for before, text in wire.logged if at is None or before <= at):
        yield Problem(Kind.PREIMAGE_LOGGED, f"a log shows a preimage of {owner.name} before its reveal")
    if reveal_s is None:
        for name, dump in dumps.items():
            if holds(dump, preimage):
                yield Problem(Kind.PREIMAGE_KEPT, f"{name} keeps a preimage of {owner.name} that was never revealed")


def holds(text: bytes, preimage: bytes) -> bool:
    """True if the bytes are in there, as they are or in hex."""
    return preimage in text or preimage.hex().encode() in text.lower()


def contents(connection: Connection) -> bytes:
    """Everything that a database in memory holds, as one piece."""
    driver = connection.connection.driver_connection
    return b"" if driver is None else bytes(driver.serialize())


def _preimages(connection: Connection) -> list[Preimage]:
    if not sa.inspect(connection).has_table(client_swaps.name):
        return []
    return [Preimage(row.preimage) for row in connection.execute(sa.select(client_swaps.c.preimage))]
