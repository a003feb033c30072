"""Double attestations of others: noticed in the blocks of the chain that keeps attestations, and reported to it.

Who attests reads that chain anyway, and has an account there. Each attestation of an operator, or of an attestor that
one has appointed, is kept with its transaction, whatever the chain made of it; a second one for another block, or time,
at the same height is the proof (`core.proofs.equivocation`). Only what comes into blocks is seen: a node's door refuses
a vote that contradicts one that stands, and who has such a vote in hand reports it by `causeway chain accuse`.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final

from core.model.errors import ConflictError, NotFoundError, RejectedError, RevertedError
from core.model.facts import SignedAttestation
from core.model.ports import AttestationSource, HeadSource
from core.model.types import AccountId, Height
from core.runtime.clock import Clock
from core.runtime.database import Database
from core.runtime.logging import get_logger
from relayer.bridging.attestations_seen import (
    MAX_KEPT,
    blocks_read,
    forget_oldest,
    mark_accused,
    note_attestation,
    note_blocks_read,
)
from relayer.transactions.pipeline import Pipeline

LOOK_S: Final = 15.0
BLOCKS_AT_ONCE: Final = 20
MAX_BEHIND: Final = 5_000
"""Blocks that are read at most after a pause; older ones are left out."""
MAX_STRANGERS: Final = 64
"""Accounts that nobody knew before, of which one look finds out if they attest for an operator."""
MAX_STRANGERS_OF_BLOCKS: Final = 16_384
"""Accounts of nobody in the blocks of one question, with which we go on at the next look. A proposer that puts more
into its blocks hides the votes of accounts that nobody knew before, and no others."""

log = get_logger("relayer.bridging.accuser")


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
        self._strangers: set[AccountId] = set()
        """In the blocks that are being searched, by this look and those before it."""
        self._asked = 0

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
        self._asked = 0
        for start in range(first, final + 1, BLOCKS_AT_ONCE):
            last = Height(min(start + BLOCKS_AT_ONCE - 1, final))
            try:
                found = await self._source.attestations(Height(start), last)
            except NotFoundError as error:
                log.warning("blocks cannot be searched for double attestations", first=start, reason=error.message)
                found = ()
            operators = await self._operators(found)
            if operators is None:
                break  # these blocks again at the next look, which finds out about the accounts that are left
            for one in found:
                if one.account in operators:
                    await self._note(one)
            self._strangers.clear()
            await self._database.write(partial(note_blocks_read, chain=chain, height=last))
        await self._database.write(forget_oldest)

    async def _operators(self, found: Sequence[SignedAttestation]) -> set[AccountId] | None:
        """Return the accounts for which an operator answers, None if this look may ask about no more of them. Anybody
        may sign attestations; those of others do not count."""
        operators: set[AccountId] = set()
        left_out = 0
        for account in dict.fromkeys(one.account for one in found):
            if account in self._strangers:
                continue
            if account not in self._known:
                if len(self._strangers) >= MAX_STRANGERS_OF_BLOCKS:
                    left_out += 1
                    continue
                if self._asked >= MAX_STRANGERS:
                    return None
                self._asked += 1
                if not await self._source.attests_for_operator(account):
                    self._strangers.add(account)
                    continue
                if len(self._known) >= MAX_KEPT:
                    self._known.clear()
                self._known.add(account)
            operators.add(account)
        if left_out:
            log.warning("too many accounts attest for nobody: others that nobody knew are left out", accounts=left_out)
        return operators

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
