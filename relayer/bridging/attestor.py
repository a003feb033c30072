"""A validator operator's vote that a foreign block is final, sent when a trigger asks for it.

It never votes for two blocks at one height: each ballot is written down before it is signed (`ballots`).

Votes count per block, so all operators must choose the same one: the newest finalized foreign height that is a
multiple of `every_blocks`.
"""

from typing import Final

from core.model.errors import ConflictError, RevertedError
from core.model.facts import BlockHeader
from core.model.ports import BridgeBuilder, HeadSource
from core.model.types import ChainId, Height
from core.runtime.database import Database
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from relayer.bridging.ballots import cast_ballot
from relayer.transactions.pipeline import Pipeline

ATTESTATIONS: Final = "attest/"
"""The keys of attestations' transactions begin so."""

log = get_logger("relayer.bridging.attestor")


class Attestor:
    """Attests the chain `foreign`, whose heads `heads` are, on the chain of `pipeline`. `trigger()` only notes; `run`
    does the work."""

    def __init__(
        self,
        database: Database,
        foreign: ChainId,
        heads: HeadSource,
        bridge: BridgeBuilder,
        pipeline: Pipeline,
        every_blocks: int = 1,
    ) -> None:
        self._database = database
        self._foreign = foreign
        self._heads = heads
        self._bridge = bridge
        self._pipeline = pipeline
        self._every = every_blocks
        self._asked = Signal()

    def trigger(self) -> None:
        """Ask for an attestation of what is final now."""
        self._asked.notify()

    async def run(self) -> None:
        """Answer triggers for ever."""
        answered = 0
        while True:
            await self._asked.wait_beyond(answered)
            answered = self._asked.count
            await self.attest_newest()

    async def attest_newest(self) -> BlockHeader | None:
        """Vote for the newest block whose turn it is; None if it is attested, or voted for, already.

        Raise `RetryableError` when a chain does not answer.
        """
        final = (await self._heads.head()).finalized
        height = Height(final.height - final.height % self._every)
        attested = await self._bridge.attested(self._foreign)
        if attested is not None and attested.height >= height:
            return None
        header = final if final.height == height else await self._heads.final_block(height)
        return header if await self.attest(header) else None

    async def attest(self, header: BlockHeader) -> bool:
        """Vote for this block, which the caller knows to be final; false if the chain does not want the vote (any
        more), as when the others were enough, or if this account voted for another block at this height."""
        account = self._pipeline.account
        try:
            await self._database.write(lambda connection: cast_ballot(connection, account, header))
        except ConflictError as error:
            log.error("not attested twice", chain=header.chain, height=header.height, reason=error.message)
            return False
        key = f"{ATTESTATIONS}{header.chain}/{account}:{header.height}:{header.ref.hash.hex()[:16]}"
        try:
            await self._pipeline.send(key, self._bridge.attest(header, account))
        except (RevertedError, ConflictError) as error:
            log.info("attestation refused", chain=header.chain, height=header.height, reason=error.message)
            return False
        return True
