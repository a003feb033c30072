"""Evidence of kind `consortium-transaction`: a transaction in its block, and its result under the next header."""

from dataclasses import replace
from typing import Any

import pytest

from core.model.consortium import (
    Transaction,
    TransactionBody,
    Transfer,
    encode_clock,
    encode_transaction,
    quantity,
    transaction_hash,
)
from core.model.errors import RejectedError
from core.model.questions import Anchor, Evidence, TransactionAnswer, TransactionQuestion
from core.model.types import ChainId, Height, Seconds
from core.proofs import merkle
from core.proofs.cometbft.encoding import encode_tx_result
from core.proofs.cometbft.hashing import header_hash
from core.proofs.cometbft.types import KeyKind, TxResult
from core.proofs.errors import (
    AnchorMismatchError,
    InvalidHeaderError,
    InvalidProofError,
    MalformedProofError,
    ProofError,
)
from core.proofs.evidence import (
    Trail,
    TransactionProof,
    canonical,
    decode_evidence,
    encode_evidence,
    transaction_evidence,
    verify,
)
from core.proofs.evidence.consortium_transaction import decode_transaction_proof, encode_transaction_proof
from tests.core.proofs.chains import CHAIN_ID, ToyChain, validator_keys
from tests.core.proofs.forgery import flip, redigested
from tests.core.proofs.worlds import CHAIN, RECORD

CLOCK_MS = 1_700_000_123_456


def signed(number: int, size: int = 20) -> bytes:
    """A transaction as the ledger encodes it; nobody checks its signature once it is in a block."""
    messages = (Transfer("cnyd", b"\xb0" * 20, quantity(number)),) * (size // 20)
    return encode_transaction(Transaction(TransactionBody(CHAIN_ID, b"\x0a" * 32, number, 99, messages), bytes(64)))


class Ledger:
    """A chain whose third block has entries: the clock, and then transactions, the last of which fails."""

    def __init__(self, transactions: int = 6, kind: KeyKind = KeyKind.ED25519, length: int = 6) -> None:
        self.entries = (encode_clock(CLOCK_MS), *(signed(number) for number in range(1, transactions + 1)))
        self.results = tuple(
            TxResult(7 if index == transactions else 0, b"", 300 + index, 300 + index)
            for index in range(transactions + 1)
        )
        chain = ToyChain(validator_keys(4, kind))
        filled = (
            chain.produce(self.entries, results=self.results) if at == 2 else chain.produce() for at in range(length)
        )
        self.blocks = list(filled)

    @property
    def now_s(self) -> int:
        return self.blocks[-1].header.time.seconds + 5

    def anchor(self, height: int = 1) -> Anchor:
        first, trusted = (header_hash(self.blocks[at - 1].header) for at in (1, height))
        return Anchor(CHAIN, first, Height(height), trusted, Seconds(86_400))

    def question(self, index: int = 1) -> TransactionQuestion:
        return TransactionQuestion(CHAIN, transaction_hash(self.entries[index]))

    def trail(self, start: int = 1, end: int = 4) -> Trail:
        begun, genesis = self.blocks[start - 1], header_hash(self.blocks[0].header)
        if end <= start:
            links = tuple(self.blocks[at - 1].header for at in range(start - 1, end - 1, -1))
            return Trail(genesis, begun.header, None, (), links)
        return Trail(genesis, begun.header, begun.next_validators, (self.blocks[end - 1],))

    def proof(self, index: int = 1, trail: Trail | None = None) -> TransactionProof:
        entries = merkle.Tree([transaction_hash(one) for one in self.entries])
        results = merkle.Tree([encode_tx_result(one) for one in self.results])
        return TransactionProof(
            trail or self.trail(),
            self.blocks[2].header,
            len(self.entries),
            index,
            self.entries[index],
            entries.prove(index).aunts,
            self.entries[0],
            entries.prove(0).aunts,
            self.results[index],
            results.prove(index).aunts,
        )

    def evidence(self, index: int = 1, trail: Trail | None = None) -> Evidence:
        return transaction_evidence(self.question(index), self.proof(index, trail))

    def believe(self, evidence: Evidence, height: int = 1) -> TransactionAnswer:
        answer = verify(decode_evidence(encode_evidence(evidence)), self.anchor(height), self.now_s).answer
        assert isinstance(answer, TransactionAnswer)
        return answer


LEDGER = Ledger()
FILES = {
    "transaction": encode_evidence(LEDGER.evidence()),
    "failed-transaction": encode_evidence(LEDGER.evidence(6)),
}


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("kind", list(KeyKind))
def test_every_transaction_of_a_block_is_proven(count: int, kind: KeyKind) -> None:
    ledger = Ledger(count, kind)
    for index in range(1, count + 1):
        evidence = ledger.evidence(index)
        assert ledger.believe(evidence) == TransactionAnswer(7 if index == count else 0, ledger.entries[index])
        assert evidence.as_of.block.height == 3
        assert evidence.as_of.block.hash == header_hash(ledger.blocks[2].header)
        assert evidence.as_of.time.seconds == CLOCK_MS // 1_000


def test_block_before_the_anchor_is_linked_by_hashes() -> None:
    evidence = LEDGER.evidence(2, LEDGER.trail(6, 4))
    assert LEDGER.believe(evidence, 6) == TransactionAnswer(0, LEDGER.entries[2])


def test_question_of_another_kind_is_not_answered() -> None:
    with pytest.raises(RejectedError):
        transaction_evidence(RECORD, LEDGER.proof())
    with pytest.raises(RejectedError):
        TransactionQuestion(CHAIN, bytes(31))


def changed(**parts: Any) -> TransactionProof:
    return replace(LEDGER.proof(), **parts)


@pytest.mark.parametrize(
    ("proof", "error"),
    [
        (changed(index=2), InvalidProofError),
        (changed(index=7), MalformedProofError),
        (changed(total=9), MalformedProofError),
        (changed(result=TxResult(1, b"", 301, 301)), InvalidProofError),
        (changed(result=LEDGER.results[2]), InvalidProofError),
        (changed(clock=encode_clock(CLOCK_MS + 1)), InvalidProofError),
        (changed(clock=LEDGER.entries[2][:26]), InvalidProofError),
        (changed(transaction=LEDGER.entries[2]), InvalidProofError),
        (changed(transaction_aunts=()), MalformedProofError),
        (changed(result_aunts=(*LEDGER.proof().result_aunts, bytes(32))), MalformedProofError),
        (changed(header=LEDGER.blocks[1].header), InvalidHeaderError),
        (changed(header=LEDGER.blocks[3].header), InvalidHeaderError),
        (changed(trail=LEDGER.trail(1, 5)), InvalidHeaderError),
        (changed(header=replace(LEDGER.blocks[2].header, data_hash=bytes(32))), InvalidHeaderError),
    ],
)
def test_proof_with_another_part_shows_nothing(proof: TransactionProof, error: type[Exception]) -> None:
    true = LEDGER.evidence()
    with pytest.raises(error):
        verify(replace(true, proof=encode_transaction_proof(proof)), LEDGER.anchor(), LEDGER.now_s)


def test_clock_of_a_block_is_not_a_transaction() -> None:
    with pytest.raises(InvalidProofError, match="clock"):
        transaction_evidence(LEDGER.question(0), LEDGER.proof(0))


def test_answer_must_be_the_one_that_is_proven() -> None:
    true = LEDGER.evidence(6)
    assert isinstance(true.answer, TransactionAnswer)
    with pytest.raises(InvalidProofError):
        LEDGER.believe(replace(true, answer=replace(true.answer, code=0)))
    with pytest.raises(InvalidProofError):
        LEDGER.believe(replace(true, question=LEDGER.question(2)))
    with pytest.raises(AnchorMismatchError):
        LEDGER.believe(replace(true, question=TransactionQuestion(ChainId("causeway:other"), bytes(32))))


def test_largest_transaction_fits_into_a_file() -> None:
    raw = signed(1, 20 * 1_400)
    assert 60_000 < len(raw) <= 64 * 1024
    ledger = Ledger(1)
    ledger.entries = (ledger.entries[0], raw)
    chain = ToyChain(validator_keys(4, KeyKind.ED25519))
    ledger.blocks = [
        chain.produce(ledger.entries if at == 2 else (), results=ledger.results if at == 2 else ()) for at in range(5)
    ]
    assert ledger.believe(ledger.evidence()) == TransactionAnswer(7, raw)


@pytest.mark.parametrize("name", sorted(FILES))
def test_flipped_bits_are_refused(name: str) -> None:
    raw = FILES[name]
    for place in range(0, len(raw), 89):
        with pytest.raises((ProofError, RejectedError)):
            verify(decode_evidence(flip(raw, place)), LEDGER.anchor(), LEDGER.now_s)


def test_proof_has_one_form_only() -> None:
    data = encode_transaction_proof(LEDGER.proof())
    assert decode_transaction_proof(data) == LEDGER.proof()
    for more in ({"more": 1}, {"total": "7"}, {"transaction_aunts": ["00"] * 21}, {"index": -1}):
        with pytest.raises(ProofError):
            decode_transaction_proof(canonical.dump({**canonical.load(data), **more}))
    more_in_the_header = redigested(
        FILES["transaction"], lambda raw: raw.replace(b'"header":{', b'"header":{"aa":1,', 1)
    )
    with pytest.raises(MalformedProofError):
        verify(decode_evidence(more_in_the_header), LEDGER.anchor(), LEDGER.now_s)
