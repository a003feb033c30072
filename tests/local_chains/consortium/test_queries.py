"""Questions of the ledger to foreign chains: asked, answered by proof alone, expired; fees are never lost."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.consortium import (
    AnswerQuery,
    AskQuery,
    AttestHeader,
    ExpireQuery,
    QueryAnswered,
    QueryAsked,
    QueryExpired,
    QueryLeaf,
    ResultCode,
    decode_leaf,
    open_queries_key,
    quantity,
    query_key,
)
from core.model.questions import BalanceQuestion, LogQuestion, Question
from core.model.types import AssetId
from core.model.uris import print_uri
from core.proofs import ethereum
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import TokenLayout, ethereum_evidence, log_evidence, token_evidence
from core.proofs.evidence.bare import MAX_BARE_BYTES, BareLog, BareState, bare_of, decode_bare
from core.proofs.evidence.forms import answer_to_json
from core.proofs.evidence.layouts import REVIEWED_LAYOUTS
from core.proofs.keccak import keccak256
from local_chains.consortium.ledger.prices import PROOF_UNITS_PER_BYTE
from local_chains.consortium.ledger.queries import FEES, MAX_OPEN_QUERIES, MAX_QUERY_URI_BYTES
from tests.core.proofs.test_question_evidence import (
    ALL,
    CHAIN,
    HOLDER,
    HTLC,
    LANES,
    LOG,
    STORAGE,
    TOKEN,
    Everything,
    account,
    balance_of,
)
from tests.local_chains.consortium.support import ANN, BEN, ISSUER, OPERATORS, START_S, Actor, Chain

REVIEWED = Everything(plain=REVIEWED_LAYOUTS[0].code_hash)
LAYOUT = TokenLayout("reviewed", REVIEWED.plain, 0)
TOKENS = balance_of(TOKEN)
COIN = BalanceQuestion(CHAIN, account(HOLDER), AssetId(f"{CHAIN}/slip44:60"))
STRANGER = Actor("a stranger")
DEADLINE = START_S + 60


def proof_of(question: Question, world: Everything = REVIEWED) -> bytes:
    if question == TOKENS:
        return bare_of(token_evidence(question, world.token(TOKEN, LAYOUT)))
    if isinstance(question, LogQuestion):
        return bare_of(log_evidence(question, world.log()))
    if question == COIN:
        proof = world.state(STORAGE, TOKEN)
        return bare_of(
            ethereum_evidence(question, replace(proof, account_nodes=world.account(HOLDER), storage_nodes=()))
        )
    return bare_of(ethereum_evidence(question, world.state(question, TOKEN if question == STORAGE else HTLC)))


def ask(question: Question | str, **changes: Any) -> AskQuery:
    uri = question if isinstance(question, str) else print_uri(question)
    given: dict[str, Any] = {"first": 30, "last": 50, "deadline": DEADLINE, "asset": "cnyd", "fee": quantity(7)}
    return AskQuery(uri, **{**given, **changes})


def begun(world: Everything = REVIEWED) -> Chain:
    """A chain whose operators attest the world's block 40, and on which ANN may ask: the genesis file admits them."""
    chain = Chain()
    header = AttestHeader(CHAIN, 40, ethereum.header_hash(world.header), world.header.timestamp)
    for operator in OPERATORS[:3]:
        assert chain.one(operator, header).code is ResultCode.OK
    return chain


def asked(question: Question, **changes: Any) -> Chain:
    chain = begun()
    assert chain.one(ANN, ask(question, **changes)).code is ResultCode.OK
    return chain


def leaf(chain: Chain, number: int = 1) -> QueryLeaf:
    return decode_leaf(chain.leaves[query_key(number)], QueryLeaf)


@pytest.mark.parametrize("question", [STORAGE, LANES, COIN, TOKENS, LOG], ids=lambda one: type(one).__name__)
def test_proven_answer_is_stored_and_paid(question: Question) -> None:
    chain = asked(question)
    assert leaf(chain).status == "open"
    assert (chain.balance(ANN.address), chain.balance(FEES)) == (993, 7)
    result = chain.one(STRANGER, AnswerQuery(1, proof_of(question)))
    assert result.code is ResultCode.OK, result.log
    held = leaf(chain)
    height = 38 if question == LOG else 40
    assert (held.status, held.answerer, held.height) == ("answered", STRANGER.address, height)
    assert held.block_hash == (keccak256(REVIEWED.headers[2 if question == LOG else 0]))
    assert json.loads(held.answer)["type"] == {"BalanceQuestion": "balance"}.get(
        type(question).__name__, type(question).__name__.removesuffix("Question").lower()
    )
    assert (chain.balance(STRANGER.address), chain.balance(FEES)) == (7, 0)
    digest = hashlib.sha256(held.answer).digest()
    assert QueryAnswered(1, STRANGER.address, height, digest) in result.events
    assert chain.leaves[open_queries_key(ANN.address)] == bytes(8)


def test_balance_of_a_token_is_stored_as_the_evidence_says() -> None:
    chain = asked(TOKENS)
    chain.one(BEN, AnswerQuery(1, proof_of(TOKENS)))
    expected = token_evidence(TOKENS, REVIEWED.token(TOKEN, LAYOUT)).answer
    assert json.loads(leaf(chain).answer) == answer_to_json(expected) == {"type": "balance", "amount": "700"}


def test_question_is_numbered_and_told() -> None:
    chain = begun()
    result = chain.one(ANN, ask(STORAGE), ask(LANES, asset="", fee=b""))
    uri = print_uri(STORAGE)
    assert QueryAsked(1, ANN.address, uri, 30, 50, DEADLINE, "cnyd", 7) in result.events
    assert leaf(chain, 2).uri == print_uri(LANES)
    assert chain.leaves[open_queries_key(ANN.address)] == (2).to_bytes(8, "big")
    assert chain.one(BEN, AnswerQuery(2, proof_of(LANES))).code is ResultCode.OK
    assert chain.balance(BEN.address) == 50


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (ask("frob"), ResultCode.BAD_QUERY),
        (ask("causeway:test-1/records/a/b"), ResultCode.BAD_QUERY),
        (ask(print_uri(STORAGE) + "?at=40"), ResultCode.BAD_QUERY),
        (ask(print_uri(STORAGE).replace("0x5", "5")), ResultCode.BAD_QUERY),
        (ask(print_uri(STORAGE).replace("storage", "%73torage")), ResultCode.BAD_QUERY),
        (ask("eip155:1/" + "x" * MAX_QUERY_URI_BYTES), ResultCode.BAD_QUERY),
        (ask("eip155:1/\ud7ff"), ResultCode.BAD_QUERY),
        (ask(STORAGE, first=51), ResultCode.BAD_QUERY),
        (ask(STORAGE, first=-1), ResultCode.BAD_QUERY),
        (ask(STORAGE, last=2**63), ResultCode.BAD_QUERY),
        (ask(STORAGE, deadline=START_S), ResultCode.BAD_TIMELOCK),
        (ask(STORAGE, deadline=2**63), ResultCode.BAD_TIMELOCK),
        (ask(STORAGE, deadline=-1), ResultCode.BAD_TIMELOCK),
        (ask(STORAGE, asset="silver"), ResultCode.UNKNOWN_ASSET),
        (ask(STORAGE, fee=b""), ResultCode.BAD_AMOUNT),
        (ask(STORAGE, fee=b"\0\1"), ResultCode.BAD_AMOUNT),
        (ask(STORAGE, fee=quantity(1_001)), ResultCode.INSUFFICIENT_FUNDS),
        (AnswerQuery(1, b""), ResultCode.UNKNOWN_QUERY),
        (AnswerQuery(0, b""), ResultCode.UNKNOWN_QUERY),
        (AnswerQuery(-1, b""), ResultCode.UNKNOWN_QUERY),
        (ExpireQuery(2**63), ResultCode.UNKNOWN_QUERY),
    ],
)
def test_message_that_cannot_hold_is_refused(message: Any, code: ResultCode) -> None:
    chain = begun()
    assert chain.one(ANN, message).code is code
    assert (chain.balance(ANN.address), chain.balance(FEES)) == (1000, 0)


def test_strangers_do_not_ask() -> None:
    chain = begun()
    assert chain.one(STRANGER, ask(STORAGE, asset="", fee=b"")).code is ResultCode.NOT_ADMITTED


def test_open_questions_of_an_account_are_bounded() -> None:
    chain = begun()
    many = [ask(STORAGE, asset="", fee=b"")] * 64
    for _ in range(MAX_OPEN_QUERIES // 64):
        assert chain.one(ANN, *many).code is ResultCode.OK
    assert chain.one(ANN, many[0]).code is ResultCode.TOO_MANY_QUERIES
    assert chain.one(BEN, AnswerQuery(1, proof_of(STORAGE))).code is ResultCode.OK
    assert chain.one(ANN, many[0]).code is ResultCode.OK


@pytest.mark.parametrize("other", [STORAGE, LANES, COIN, TOKENS, LOG], ids=lambda one: type(one).__name__)
def test_valid_proof_for_another_question_is_refused(other: Question) -> None:
    for question in (STORAGE, LANES, COIN, TOKENS, LOG):
        if question != other:
            result = asked(question).one(BEN, AnswerQuery(1, proof_of(other)))
            assert result.code is ResultCode.BAD_PROOF


def test_proof_under_a_header_that_is_not_attested_is_refused() -> None:
    chain = asked(STORAGE)
    unattested = proof_of(STORAGE, ALL)
    assert "is attested at this height" in chain.one(BEN, AnswerQuery(1, unattested)).log
    other = replace(REVIEWED.header, number=41)
    moved = decode_bare(proof_of(STORAGE)).proof
    assert isinstance(moved, BareState)
    forged = bare(BareState(ethereum.encode_header(other), moved.account_nodes, moved.storage_nodes))
    assert "not attested here" in chain.one(BEN, AnswerQuery(1, forged)).log
    assert leaf(chain).status == "open"


def bare(proof: Any) -> bytes:
    return msgspec.msgpack.encode(proof)


@pytest.mark.parametrize(("first", "last"), [(0, 39), (41, 2**63 - 1)])
def test_answer_outside_the_asked_heights_is_refused(first: int, last: int) -> None:
    result = asked(STORAGE, first=first, last=last).one(BEN, AnswerQuery(1, proof_of(STORAGE)))
    assert result.code is ResultCode.BAD_PROOF
    assert asked(STORAGE, first=40, last=40).one(BEN, AnswerQuery(1, proof_of(STORAGE))).code is ResultCode.OK


def test_log_is_of_an_asked_height_by_its_own_block() -> None:
    assert asked(LOG, first=38, last=38).one(BEN, AnswerQuery(1, proof_of(LOG))).code is ResultCode.OK
    assert asked(LOG, first=39, last=50).one(BEN, AnswerQuery(1, proof_of(LOG))).code is ResultCode.BAD_PROOF


def test_deadline_parts_answers_from_expiry() -> None:
    answer, expiry = AnswerQuery(1, proof_of(STORAGE)), ExpireQuery(1)
    early = asked(STORAGE, deadline=DEADLINE)
    now_s = early.time_ms // 1000
    assert early.one(BEN, expiry, after_s=DEADLINE - now_s - 0.001).code is ResultCode.TOO_EARLY
    late = asked(STORAGE, deadline=DEADLINE)
    assert late.one(BEN, answer, after_s=DEADLINE - now_s).code is ResultCode.TOO_LATE
    result = late.one(STRANGER, expiry, after_s=0.001)
    assert (result.code, result.events[-1]) == (ResultCode.OK, QueryExpired(1))
    assert (late.balance(ANN.address), late.balance(FEES)) == (1000, 0)
    assert leaf(late).status == "expired"
    last = asked(STORAGE, deadline=DEADLINE)
    assert last.one(BEN, answer, after_s=DEADLINE - now_s - 0.001).code is ResultCode.OK


def test_question_ends_once() -> None:
    answer, expiry = AnswerQuery(1, proof_of(STORAGE)), ExpireQuery(1)
    chain = asked(STORAGE)
    assert chain.one(BEN, answer).code is ResultCode.OK
    for message in (answer, expiry):
        assert chain.one(STRANGER, message, after_s=100).code is ResultCode.QUERY_CLOSED
    chain = asked(STORAGE)
    assert chain.one(BEN, expiry, after_s=100).code is ResultCode.OK
    for message in (answer, expiry):
        assert chain.one(STRANGER, message).code is ResultCode.QUERY_CLOSED
    assert (chain.balance(ANN.address), chain.balance(FEES)) == (1000, 0)


def test_two_answers_in_one_transaction_fail_whole() -> None:
    chain, proof = asked(STORAGE), proof_of(STORAGE)
    assert chain.one(BEN, AnswerQuery(1, proof), AnswerQuery(1, proof)).code is ResultCode.QUERY_CLOSED
    assert leaf(chain).status == "open"


# --- bytes -------------------------------------------------------------------------------------------------------

PROOFS = {type(one).__name__ + one.chain: (one, proof_of(one)) for one in (STORAGE, TOKENS, LOG)}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PROOFS)), st.data())
def test_proof_with_a_changed_byte_is_refused(name: str, data: st.DataObject) -> None:
    question, proof = PROOFS[name]
    place, value = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    changed = proof[:place] + bytes([value]) + proof[place + 1 :]
    expected = ResultCode.OK if changed == proof else ResultCode.BAD_PROOF
    assert _answered(question, changed) is expected


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PROOFS)), st.binary(max_size=200), st.data())
def test_any_bytes_are_refused_and_raise_nothing(name: str, junk: bytes, data: st.DataObject) -> None:
    question, proof = PROOFS[name]
    cut = data.draw(st.integers(0, len(proof) - 1))
    for raw in (junk, proof[:cut], proof + b"\0", proof[:cut] + junk):
        if raw != proof:
            assert _answered(question, raw) is ResultCode.BAD_PROOF


_CHAINS = {name: asked(question) for name, (question, _) in PROOFS.items()}


def _answered(question: Question, proof: bytes) -> ResultCode:
    """The result on a chain that is copied, since it is the same for every try."""
    name = type(question).__name__ + question.chain
    chain = Chain()
    chain.leaves, chain.height, chain.time_ms = dict(_CHAINS[name].leaves), 9, _CHAINS[name].time_ms
    return chain.one(BEN, AnswerQuery(1, proof)).code


@pytest.mark.parametrize(
    "proof",
    [
        b"\xc1",
        b"\x91" * 1_000,
        bare(BareLog(b"", (), -1, (), ())),
        bare(BareLog(b"", (), 2**16, (), ())),
        bare(BareLog(REVIEWED.headers[0], (b"",) * 300, 0, (), ())),
        bare(BareState(b"\xf8" * 900, (), ())),
        bare(BareState(REVIEWED.headers[0], (b"\xc0" * 900,) * 40, ())),
        b"\0" * 40_000,
    ],
    ids=range(8),
)
def test_malformed_proof_is_refused(proof: bytes) -> None:
    assert _answered(STORAGE, proof) is ResultCode.BAD_PROOF


def test_proof_beyond_its_limit_is_malformed() -> None:
    assert _answered(STORAGE, b"\0" * (MAX_BARE_BYTES + 1)) is ResultCode.BAD_PROOF
    with pytest.raises(MalformedProofError, match="too large"):
        decode_bare(b"\0" * (MAX_BARE_BYTES + 1))


def test_answer_costs_by_its_proof() -> None:
    proof = proof_of(STORAGE)
    dear, cheap = (asked(STORAGE).one(BEN, AnswerQuery(1, one)).cost for one in (proof, proof[:-100]))
    assert dear - cheap >= 100 * PROOF_UNITS_PER_BYTE
    assert dear > PROOF_UNITS_PER_BYTE * len(proof)


def test_issuer_of_a_fee_keeps_its_books() -> None:
    """The account of fees is an account like any other: supply is the sum of all."""
    chain = asked(STORAGE, fee=quantity(1_000))
    assert chain.balance(FEES) == 1_000
    assert ISSUER.address != FEES
