"""Double attestations of others: noticed in the blocks of the chain that keeps attestations, and reported to it.

Who attests reads that chain anyway, and has an account there. Each attestation of an operator, or of an attestor that
one has appointed, is kept with its transaction, whatever the chain made of it; a second one for another block, or time,
at the same height is the proof (`core.proofs.equivocation`). Only what comes into blocks is seen: a node's door refuses
a vote that contradicts one that stands, and who has such a vote in hand reports it by `causeway chain accuse`. Plain
functions over a `Connection`, and a worker.
"""

from functools import partial
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, RejectedError, RevertedError
from core.model.facts import SignedAttestation
from core.model.ports import AttestationSource, HeadSource
from core.model.types import AccountId, ChainId, Height
from core.runtime.clock import Clock
from core.runtime.database import METADATA, Database
from core.runtime.logging import get_logger
from relayer.transactions.pipeline import Pipeline

LOOK_S: Final = 15.0
BLOCKS_AT_ONCE: Final = 20
MAX_BEHIND: Final = 5_000
"""Blocks that are read at most after a pause; older ones are left out."""
MAX_KEPT: Final = 1_024
"""Attestations of one account."""
MAX_KEPT_OF_ALL: Final = 16_384
MAX_STRANGERS: Final = 64
"""Accounts that nobody knew before, of which one look finds out if they attest for an operator."""

seen_attestations = sa.Table(
    "relayer_seen_attestations",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("foreign_chain", sa.Text, nullable=False),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("block_hash", sa.LargeBinary(32), nullable=False),
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("accused", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.UniqueConstraint("account", "foreign_chain", "height", name="uq_relayer_seen_attestations"),
    sqlite_autoincrement=True,
)
"""`account`: who attested, with the chain that it did so on. `raw`: the signed transaction. `accused`: a second one was
seen, and the chain has answered to the report."""
read_up_to = sa.Table(
    "relayer_attestations_read",
    METADATA,
    sa.Column("chain", sa.Text, primary_key=True),
    sa.Column("height", sa.BigInteger, nullable=False),
)
TABLES: Final = (seen_attestations, read_up_to)

_A: Final = seen_attestations.c
log = get_logger("relayer.bridging.accuser")


def note_attestation(connection: Connection, one: SignedAttestation) -> bytes | None:
    """Keep the account's first attestation for this height. Return the transaction of an earlier one that contradicts
    it and that the chain has not been asked about yet."""
    at = _at(one.account, one.foreign.chain, one.foreign.height)
    there = connection.execute(sa.select(_A.block_hash, _A.time, _A.raw, _A.accused).where(at)).one_or_none()
    if there is None:
        row = {"account": one.account, "foreign_chain": one.foreign.chain, "height": one.foreign.height}
        values = {**row, "block_hash": one.foreign.hash, "time": one.time, "raw": one.transaction}
        connection.execute(sa.insert(seen_attestations).values(values))
        _forget(connection, sa.select(_A.id).where(_A.account == one.account), MAX_KEPT)
        return None
    if there.accused or (bytes(there.block_hash), there.time) == (one.foreign.hash, one.time):
        return None
    return bytes(there.raw)


def mark_accused(connection: Connection, one: SignedAttestation) -> None:
    """Note that the chain has answered to a report about this account and height."""
    at = _at(one.account, one.foreign.chain, one.foreign.height)
    connection.execute(sa.update(seen_attestations).where(at).values(accused=True))


def forget_oldest(connection: Connection) -> None:
    """Keep the newest attestations of all accounts."""
    _forget(connection, sa.select(_A.id), MAX_KEPT_OF_ALL)


def blocks_read(connection: Connection, chain: ChainId) -> Height | None:
    """Return the height up to which the chain's blocks were read."""
    found = connection.execute(sa.select(read_up_to.c.height).where(read_up_to.c.chain == chain)).scalar_one_or_none()
    return None if found is None else Height(found)


def note_blocks_read(connection: Connection, chain: ChainId, height: Height) -> None:
    """Keep the height up to which the chain's blocks were read."""
    done = connection.execute(sa.update(read_up_to).where(read_up_to.c.chain == chain).values(height=height))
    if not done.rowcount:
        connection.execute(sa.insert(read_up_to).values(chain=chain, height=height))


def _at(account: AccountId, foreign: ChainId, height: Height) -> sa.ColumnElement[bool]:
    return sa.and_(_A.account == account, _A.foreign_chain == foreign, _A.height == height)


def _forget(connection: Connection, ids: "sa.Select[tuple[int]]", kept: int) -> None:
    """Delete all but the newest of these."""
    last = connection.execute(ids.order_by(_A.id.desc()).offset(kept).limit(1)).scalar_one_or_none()
    if last is not None:
        connection.execute(sa.delete(seen_attestations).where(_A.id.in_(ids.where(_A.id <= last))))


class Accuser:
    """Reads the blocks of the chain of `pipeline`, whose heads `heads` are, and reports by its account."""

    def __init__(
        self, database: Database, source: AttestationSource, heads: HeadSource, pipeline: Pipeline, clock: Clock
    ) -> None:
        self._database = database
        self._source = source
        self._heads = heads
        self.pipeline = pipeline
        self._clock = clock
        self._known: set[AccountId] = set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK_S)

    async def look(self) -> None:
        """Read the blocks that became final since the last look. Raise `RetryableError` if the chain does not say."""
        chain = self.pipeline.chain
        final = (await self._heads.head()).finalized.height
        before = await self._database.read(lambda connection: blocks_read(connection, chain))
        first = max(final if before is None else before + 1, final - MAX_BEHIND + 1, 1)
        if before is not None and first > before + 1:
            log.warning("blocks left out in the search for double attestations", first=before + 1, last=first - 1)
        strangers: set[AccountId] = set()
        for start in range(first, final + 1, BLOCKS_AT_ONCE):
            last = Height(min(start + BLOCKS_AT_ONCE - 1, final))
            try:
                found = await self._source.attestations(Height(start), last)
            except NotFoundError as error:
                log.warning("blocks cannot be searched for double attestations", first=start, reason=error.message)
                found = ()
            for one in found:
                if await self._stands(one.account, strangers):
                    await self._note(one)
            await self._database.write(partial(note_blocks_read, chain=chain, height=last))
        await self._database.write(forget_oldest)

    async def _stands(self, account: AccountId, strangers: set[AccountId]) -> bool:
        """Return true if an operator answers for the account. Anybody may sign attestations; others do not count."""
        if account in self._known:
            return True
        if account in strangers or len(strangers) >= MAX_STRANGERS:
            return False
        if not await self._source.attests_for_operator(account):
            strangers.add(account)
            return False
        if len(self._known) >= MAX_KEPT:
            self._known.clear()
        self._known.add(account)
        return True

    async def _note(self, one: SignedAttestation) -> None:
        earlier = await self._database.write(lambda connection: note_attestation(connection, one))
        if earlier is None:
            return
        said = {"account": one.account, "chain": one.foreign.chain, "height": one.foreign.height}
        log.error("attested twice", **said)
        key = f"accuse/{one.account}:{one.foreign.chain}:{one.foreign.height}"
        report = self._source.accuse(earlier, one.transaction, self.pipeline.account)
        try:
            await self.pipeline.send(key, report)
        except (RevertedError, ConflictError, RejectedError) as error:
            # Most often another member was faster.
            log.info("double attestation not reported", **said, reason=error.message)
        await self._database.write(lambda connection: mark_accused(connection, one))
