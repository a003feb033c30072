"""A lock on Ethereum, proven under a header that the consortium's operators attested. anvil and our ledger run."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.conformance.harness import Leg, claim, finalized, lock, send_final
from adapters.registry import ChainSpec, ConnectedChain, EndpointSpec, connect, installed_factories, joined_prover
from core.model.errors import DisagreementError, NotFoundError, NotYetFinalError, RejectedError
from core.model.facts import BlockHeader, LockStatus
from core.model.questions import LockQuestion, RecordQuestion
from core.model.types import ChainId, Height
from core.proofs.errors import ProofError
from core.proofs.evidence import decode_evidence, encode_evidence, verify
from core.runtime.sockets import free_port
from tests.adapters.consortium.harness import CHAIN as LEDGER
from tests.adapters.consortium.harness import CNYD
from tests.adapters.evidence.both import Both, both_running
from tests.adapters.evm.harness import CHAIN as ETHEREUM
from tests.adapters.evm.harness import TIMING


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[Both]:
    async with both_running(tmp_path / "chain") as chains:
        yield chains


def question_of(both: Both, leg: Leg) -> LockQuestion:
    return LockQuestion(ETHEREUM, leg.lock_id, leg.terms, both.evm.access.parameters.htlc_holder)


async def final_header(both: Both) -> BlockHeader:
    return (await both.evm.access.heads.head()).finalized


async def test_a_lock_is_proven_under_the_attested_header(both: Both) -> None:
    leg = await lock(both.evm)
    await finalized(both.evm, (await both.evm.access.heads.head()).head.height)
    question = question_of(both, leg)
    with pytest.raises(NotYetFinalError):
        await both.prover().prove(question)
    header = await final_header(both)
    await both.attest(header)
    assert await both.ledger.chain.bridge.attested(ETHEREUM) == header.ref
    raw = encode_evidence(await both.prover().prove(question))
    anchor = await both.ledger.chain.prover.anchor()
    verified = verify(decode_evidence(raw), anchor, both.now_s())
    assert verified.as_of.block == header.ref
    assert (verified.answer.status, verified.answer.terms_match) == (LockStatus.LOCKED, True)  # type: ignore[union-attr]
    assert verified.answer.code_hash == both.evm.access.parameters.htlc_code_hash  # type: ignore[union-attr]
    for place in range(0, len(raw), 211):
        with pytest.raises(ProofError):
            verify(decode_evidence(raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]), anchor, both.now_s())


async def test_newest_attested_header_answers_and_older_on_request(both: Both) -> None:
    leg = await lock(both.evm)
    await finalized(both.evm, (await both.evm.access.heads.head()).head.height)
    first = await final_header(both)
    await both.attest(first)
    await send_final(both.evm, leg.receiver, claim(both.evm, leg, leg.receiver))
    question, prover = question_of(both, leg), both.prover()
    assert (await prover.prove(question)).answer.status is LockStatus.LOCKED  # type: ignore[union-attr]
    second = await final_header(both)
    await both.attest(second)
    assert (await prover.prove(question)).answer.status is LockStatus.CLAIMED  # type: ignore[union-attr]
    assert (await prover.prove(question, first.height)).answer.status is LockStatus.LOCKED  # type: ignore[union-attr]
    with pytest.raises(NotFoundError):
        await prover.prove(question, Height(first.height + 1))
    with pytest.raises(NotYetFinalError):
        await prover.prove(question, Height(second.height + 1))


async def test_a_false_attestation_is_noticed(both: Both) -> None:
    """Should ⅔ of the operators ever attest another block, nothing is proven from it."""
    leg = await lock(both.evm)
    await finalized(both.evm, (await both.evm.access.heads.head()).head.height)
    header = await final_header(both)
    await both.attest(replace(header, ref=replace(header.ref, hash=bytes(32))))
    with pytest.raises(DisagreementError):
        await both.prover().prove(question_of(both, leg))


async def test_the_registry_connects_both_and_joins_their_provers(both: Both) -> None:
    chains = await _connected(both)
    try:
        signer = chains[LEDGER].signer(bytes(31) + b"\1")
        assert signer.account.startswith(f"{LEDGER}:")
        assert chains[ETHEREUM].signer(bytes(31) + b"\1").account.startswith(f"{ETHEREUM}:0x")
        leg = await lock(both.evm)
        await finalized(both.evm, (await both.evm.access.heads.head()).head.height)
        await both.attest(await final_header(both))
        prover = joined_prover(chains, LEDGER)
        anchor = await both.ledger.chain.prover.anchor()
        for question in (question_of(both, leg), RecordQuestion(LEDGER, "notes", "none")):
            assert verify(await prover.prove(question), anchor, both.now_s()).question == question
        with pytest.raises(RejectedError):
            await joined_prover(chains, None).prove(question_of(both, leg))
        head = await chains[LEDGER].access.heads.head()
        assert head == await both.ledger.access.heads.head()
    finally:
        for chain in chains.values():
            await chain.close()


async def _connected(both: Both) -> dict[ChainId, ConnectedChain]:
    """The ledger over three endpoints, the first of which is down."""
    url = both.ledger.node.rpc_url
    ledger = ChainSpec(
        kind="consortium",
        chain=LEDGER,
        genesis_hash=both.ledger.access.parameters.genesis_hash,
        endpoints=(
            EndpointSpec(f"http://127.0.0.1:{free_port()}", "alpha"),
            EndpointSpec(url, "beta"),
            EndpointSpec(url, "gamma"),
        ),
        timing=TIMING,
        assets=(CNYD,),
    )
    ethereum = ChainSpec(
        kind="evm",
        chain=ETHEREUM,
        genesis_hash=both.evm.access.parameters.genesis_hash,
        endpoints=(EndpointSpec(both.evm.anvil.rpc_url, "alpha"),),
        timing=TIMING,
        assets=tuple(both.evm.access.parameters.assets),
        contract=both.evm.contracts.htlc,
    )
    assert set(installed_factories()) >= {"consortium", "evm"}
    with pytest.raises(RejectedError, match="unknown kind of chain"):
        await connect(replace(ledger, kind="toy"))
    return {LEDGER: await connect(ledger), ETHEREUM: await connect(ethereum)}
