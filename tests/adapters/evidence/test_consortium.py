"""The ledger's own evidence, proven by a real node, verified as anybody would offline."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.conformance.harness import Leg, claim, lock, send
from adapters.consortium import connect, write_record
from adapters.consortium.prover import ConsortiumProver
from core.model.consortium import APP_VERSION
from core.model.errors import NotFoundError, NotYetFinalError, RejectedError
from core.model.facts import LockStatus
from core.model.questions import (
    BalanceAnswer,
    BalanceQuestion,
    Evidence,
    LockAnswer,
    LockQuestion,
    Question,
    RecordAnswer,
    RecordQuestion,
    TransactionAnswer,
    TransactionQuestion,
)
from core.model.types import BaseUnits, ChainId, Height, LockId
from core.proofs.errors import AnchorMismatchError, InvalidProofError, ProofError, TrustExpiredError
from core.proofs.evidence import Verified, decode_evidence, encode_evidence, ledger_code_hash, verify
from tests.adapters.consortium.harness import CHAIN, CNYD, PURSE, SYMBOLS, ConsortiumHarness, running

DOCUMENT = b'{"batch":7}'


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ConsortiumHarness]:
    async with running(tmp_path / "chain") as chain:
        yield chain


def now_s(harness: ConsortiumHarness) -> int:
    return harness.node.engine.tip.time.seconds + 1


async def proven(harness: ConsortiumHarness, question: Question, at: Height | None = None) -> tuple[Evidence, Verified]:
    """Evidence through its file form, verified from the anchor that the prover starts at."""
    await harness.advance()
    evidence = decode_evidence(encode_evidence(await harness.chain.prover.prove(question, at)))
    return evidence, verify(evidence, await harness.chain.prover.anchor(), now_s(harness))


async def test_a_record_and_its_absence(harness: ConsortiumHarness) -> None:
    author = await harness.account()
    question = RecordQuestion(CHAIN, "provenance", "grain-1")
    absent, verified = await proven(harness, question)
    assert verified.answer == RecordAnswer(0, None, b"")
    await harness.send(author, write_record(author.account, "provenance", "grain-1", DOCUMENT))
    written, verified = await proven(harness, question)
    assert verified.answer == RecordAnswer(1, author.account, DOCUMENT)
    assert (await harness.access.blocks.header(written.as_of.block.height)).ref == written.as_of.block
    assert (await harness.access.blocks.header(written.as_of.block.height)).time == written.as_of.time
    records = harness.access.records
    assert records is not None
    record = await records.record("provenance", "grain-1")
    assert record is not None
    assert (record.version, record.document) == (1, DOCUMENT)
    forged = replace(written, answer=absent.answer)
    with pytest.raises(InvalidProofError):
        verify(forged, await harness.chain.prover.anchor(), now_s(harness))


async def test_a_lock_through_its_life(harness: ConsortiumHarness) -> None:
    leg: Leg = await lock(harness)
    question = LockQuestion(CHAIN, leg.lock_id, leg.terms, None)
    code_hash = ledger_code_hash(APP_VERSION)
    assert code_hash == harness.access.parameters.htlc_code_hash
    open_lock, verified = await proven(harness, question)
    assert verified.answer == LockAnswer(LockStatus.LOCKED, True, code_hash)
    await send(harness, leg.receiver, claim(harness, leg, leg.receiver))
    _, verified = await proven(harness, question)
    assert verified.answer == LockAnswer(LockStatus.CLAIMED, True, code_hash)
    _, earlier = await proven(harness, question, open_lock.as_of.block.height)
    assert earlier.answer == open_lock.answer
    other = replace(question, terms=replace(leg.terms, amount=BaseUnits(leg.terms.amount + 1)))
    _, verified = await proven(harness, other)
    assert verified.answer == LockAnswer(LockStatus.CLAIMED, False, code_hash)


async def test_a_balance(harness: ConsortiumHarness) -> None:
    account = (await harness.account()).account
    _, verified = await proven(harness, BalanceQuestion(CHAIN, account, CNYD))
    assert verified.answer == BalanceAnswer(BaseUnits(PURSE))


async def test_a_transaction_in_its_block(harness: ConsortiumHarness) -> None:
    author = await harness.account()
    sent = [
        await harness.send(author, write_record(author.account, "provenance", name, DOCUMENT)) for name in ("a", "b")
    ]
    evidence, verified = await proven(harness, TransactionQuestion(CHAIN, sent[0].hash))
    assert verified.answer == TransactionAnswer(0, sent[0].raw)
    block = await harness.access.blocks.header(evidence.as_of.block.height)
    assert (block.ref, block.time) == (evidence.as_of.block, evidence.as_of.time)
    prover, anchor = harness.chain.prover, await harness.chain.prover.anchor()
    later, _ = await proven(harness, TransactionQuestion(CHAIN, sent[1].hash))
    # A node that keeps no index of transactions is asked for the block.
    at_its_block, _ = await proven(harness, TransactionQuestion(CHAIN, sent[1].hash), later.as_of.block.height)
    assert at_its_block.answer == later.answer == TransactionAnswer(0, sent[1].raw)
    for wrong, at in ((sent[1].hash, evidence.as_of.block.height), (bytes(32), None), (bytes(32), Height(2))):
        with pytest.raises(NotFoundError):
            await prover.prove(TransactionQuestion(CHAIN, wrong), at)
    for forged in (TransactionAnswer(0, sent[1].raw), TransactionAnswer(1, sent[0].raw)):
        with pytest.raises(InvalidProofError):
            verify(replace(evidence, answer=forged), anchor, now_s(harness))


async def test_newest_transaction_waits_for_the_next_header(harness: ConsortiumHarness) -> None:
    author = await harness.account()
    sent = await harness.send(author, write_record(author.account, "provenance", "grain-3", DOCUMENT))
    prover, tip = harness.chain.prover, Height(harness.node.engine.tip.height)
    with pytest.raises((NotYetFinalError, NotFoundError)):
        await prover.prove(TransactionQuestion(CHAIN, sent.hash), tip)
    await harness.advance(2)
    assert (await prover.prove(TransactionQuestion(CHAIN, sent.hash))).as_of.block.height <= tip


async def test_a_tampered_file_is_refused(harness: ConsortiumHarness) -> None:
    evidence, _ = await proven(harness, RecordQuestion(CHAIN, "provenance", "none"))
    anchor, raw = await harness.chain.prover.anchor(), encode_evidence(evidence)
    for place in range(0, len(raw), 97):
        tampered = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        with pytest.raises(ProofError):
            verify(decode_evidence(tampered), anchor, now_s(harness))


async def test_another_anchor_or_an_old_one_is_refused(harness: ConsortiumHarness) -> None:
    evidence, _ = await proven(harness, RecordQuestion(CHAIN, "provenance", "none"))
    anchor = await harness.chain.prover.anchor()
    with pytest.raises(AnchorMismatchError):
        verify(evidence, replace(anchor, genesis_hash=bytes(32)), now_s(harness))
    with pytest.raises(AnchorMismatchError):
        verify(evidence, replace(anchor, trusted_hash=bytes(32)), now_s(harness))
    with pytest.raises(TrustExpiredError):
        verify(evidence, anchor, now_s(harness) + anchor.trusting_period_s + 10)


async def test_evidence_older_than_the_anchor_follows_hash_links(harness: ConsortiumHarness) -> None:
    await harness.advance(12)
    later = ConsortiumProver(harness.chain.rpc, CHAIN, harness.access.parameters.genesis_hash, Height(10))
    question = RecordQuestion(CHAIN, "provenance", "none")
    for height in (3, 8, 9, 10, 11):
        evidence = await later.prove(question, Height(height))
        verified = verify(evidence, await later.anchor(), now_s(harness))
        assert verified.as_of.block.height == height


async def test_what_cannot_be_proven_is_refused(harness: ConsortiumHarness) -> None:
    prover = harness.chain.prover
    # A block for the app hash of earlier transactions may be on its way; none comes after it.
    height = Height(harness.node.engine.tip.height + 1)
    with pytest.raises(NotYetFinalError):
        await prover.prove(RecordQuestion(CHAIN, "provenance", "none"), height)
    await harness.advance(2)
    assert (await prover.prove(RecordQuestion(CHAIN, "provenance", "none"), height)).as_of.block.height == height
    leg = await lock(harness)
    for wrong in (
        RecordQuestion(CHAIN, "NOT A NAME", "x"),
        replace(LockQuestion(CHAIN, leg.lock_id, leg.terms, None), lock_id=LockId("nonsense")),
        replace(RecordQuestion(CHAIN, "a", "b"), chain=ChainId("causeway:other")),
    ):
        with pytest.raises(RejectedError):
            await prover.prove(wrong)


async def test_trust_starts_where_the_chain_was_connected(harness: ConsortiumHarness) -> None:
    await harness.advance(6)
    other = await connect(harness.node.rpc_url, CHAIN, SYMBOLS, trusted_height=Height(5))
    try:
        anchor = await other.prover.anchor()
        evidence = await other.prover.prove(RecordQuestion(CHAIN, "provenance", "none"))
        assert anchor.trusted_height == 5
        verify(evidence, anchor, now_s(harness))
        with pytest.raises(AnchorMismatchError):
            verify(evidence, await harness.chain.prover.anchor(), now_s(harness))
    finally:
        await other.close()
