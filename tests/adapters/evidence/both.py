"""anvil and our ledger, whose operators attest what is final on anvil."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.consortium import Ed25519Signer
from adapters.evidence import AttestedStateProver
from core.model.facts import BlockHeader
from core.model.questions import Question
from core.model.types import Height
from core.proofs.evidence import (
    REVIEWED_LAYOUTS,
    Layouts,
    Verified,
    decode_evidence,
    encode_evidence,
    installed_verifiers,
    verify,
)
from local_chains.consortium.node import load_operator_keys
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.consortium.harness import ConsortiumHarness, running
from tests.adapters.evm.harness import EvmHarness, evm_harness


@dataclass
class Both:
    evm: EvmHarness
    ledger: ConsortiumHarness
    operators: list[Ed25519Signer]

    async def attest(self, header: BlockHeader) -> None:
        """More than ⅔ of the operators vote, and one more block proves it."""
        for operator in self.operators[:3]:
            await self.ledger.send(operator, self.ledger.chain.bridge.attest(header, operator.account))
        await self.ledger.advance()

    async def attest_final(self) -> BlockHeader:
        """Mine until the newest block is final, and attest it."""
        await self.evm.advance(2)
        header = (await self.evm.access.heads.head()).finalized
        await self.attest(header)
        return header

    def prover(self, layouts: Layouts = REVIEWED_LAYOUTS) -> AttestedStateProver:
        return AttestedStateProver(self.evm.chain.proofs, self.ledger.chain.prover, layouts)

    async def proven(
        self, question: Question, at: Height | None = None, layouts: Layouts = REVIEWED_LAYOUTS
    ) -> tuple[bytes, Verified]:
        """The evidence file, and what it proves from the anchor that the prover starts at."""
        raw = encode_evidence(await self.prover(layouts).prove(question, at))
        anchor, verifiers = await self.ledger.chain.prover.anchor(), installed_verifiers(layouts)
        return raw, verify(decode_evidence(raw), anchor, self.now_s(), verifiers)

    def now_s(self) -> int:
        return self.ledger.node.engine.tip.time.seconds + 1


@asynccontextmanager
async def both_running(home: Path) -> AsyncIterator[Both]:
    """Both chains; the ledger lives in `home`."""
    async with evm_harness() as evm, running(home) as ledger:
        operators = [Ed25519Signer(LEDGER, key.seed) for key in load_operator_keys(home)]
        for operator in operators:
            ledger.chain.learn(operator.public_key)
        yield Both(evm, ledger, operators)
