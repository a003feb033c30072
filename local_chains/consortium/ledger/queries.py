"""Questions to foreign chains: asked with a fee, answered by whoever proves the answer, or expired.

The ledger verifies the proof itself, under a header that it attests, before it stores an answer; nobody is believed.
The fee of an open question is held by an account that nobody has a key of. An answer is taken strictly before the
deadline, the fee comes back at or after it, by anyone.
"""

import hashlib
from typing import Final

from core.model.consortium import (
    ADDRESS_BYTES,
    QUERIES,
    AnswerQuery,
    AskQuery,
    ExpireQuery,
    HeaderLeaf,
    QueryAnswered,
    QueryAsked,
    QueryExpired,
    QueryLeaf,
    ResultCode,
    attested_header_key,
    encode_leaf,
    open_queries_key,
    query_key,
    value_of,
)
from core.model.errors import RejectedError
from core.model.questions import Question
from core.model.types import MAX_TIMELOCK_S
from core.model.uris import parse_uri, print_uri
from core.proofs.evidence.bare import Bare, bare_answer, decode_bare
from core.proofs.evidence.canonical import dump
from core.proofs.evidence.forms import answer_to_json
from local_chains.consortium.ledger.admission import require_admitted
from local_chains.consortium.ledger.bank import NO_SUCH_ASSET, move
from local_chains.consortium.ledger.context import MS_PER_S, Context, Refusal, refuse
from local_chains.consortium.ledger.leaves import read, read_asset, read_count, write, write_count
from local_chains.consortium.ledger.orders import require_free_sender
from local_chains.consortium.ledger.sequences import append

MAX_QUERY_URI_BYTES: Final = 1_024
MAX_OPEN_QUERIES: Final = 256
"""Of one asker."""
MAX_FOREIGN_HEIGHT: Final = 2**63 - 1
MAX_ANSWER_BYTES: Final = 16 * 1024
FEES: Final = hashlib.sha256(b"causeway bridge fees v1").digest()[:ADDRESS_BYTES]
"""The account that holds the fees of open questions. An ed25519 key with this address is not known to anybody."""
FOREIGN: Final = "eip155:"
MAX_NUMBER: Final = 2**63 - 1


def ask(context: Context, message: AskQuery) -> None:
    require_admitted(context)
    _require_question(message.uri)
    if not 0 <= message.first <= message.last <= MAX_FOREIGN_HEIGHT:
        refuse(ResultCode.BAD_QUERY, f"no height is from {message.first} to {message.last}: the first is the lower one")
    if not 0 < message.deadline <= MAX_TIMELOCK_S or message.deadline * MS_PER_S <= context.time_ms:
        refuse(ResultCode.BAD_TIMELOCK, "a deadline is a Unix time in seconds after ledger time and below 2**40")
    fee = _fee(context, message)
    if fee:
        require_free_sender(context)
    asking_key = open_queries_key(context.sender)
    asking = read_count(context.state, asking_key)
    if asking >= MAX_OPEN_QUERIES:
        refuse(ResultCode.TOO_MANY_QUERIES, f"an account has at most {MAX_OPEN_QUERIES} questions open")
    terms = (message.uri, message.first, message.last, message.deadline, message.asset)
    leaf = QueryLeaf(context.sender, *terms, message.fee, "open")
    number = append(context.state, QUERIES, encode_leaf(leaf))
    write_count(context.state, asking_key, asking + 1)
    if fee:
        move(context, context.sender, FEES, message.asset, fee)
    context.events.append(QueryAsked(number, context.sender, *terms, fee))


def answer(context: Context, message: AnswerQuery) -> None:
    held = _open_query(context, message.number)
    if context.time_ms >= held.deadline * MS_PER_S:
        refuse(ResultCode.TOO_LATE, f"the deadline {held.deadline} has passed: the question can only expire")
    try:
        question = parse_uri(held.uri).question
        proof = decode_bare(message.proof)
        _require_attested(context, question, proof)
        found, as_of = bare_answer(question, proof)
        stored = dump(answer_to_json(found))
    except Refusal:
        raise
    except RejectedError as error:
        refuse(ResultCode.BAD_PROOF, error.message)
    block = as_of.block
    if not held.first <= block.height <= held.last:
        refuse(ResultCode.BAD_PROOF, f"block {block.height} is not from {held.first} to {held.last}")
    if len(stored) > MAX_ANSWER_BYTES:
        refuse(ResultCode.BAD_PROOF, f"the answer has {len(stored)} bytes, the ledger keeps at most {MAX_ANSWER_BYTES}")
    answered = QueryLeaf(*_terms(held), "answered", context.sender, block.height, block.hash, stored)
    _settle(context, message.number, answered, context.sender)
    digest = hashlib.sha256(stored).digest()
    context.events.append(QueryAnswered(message.number, context.sender, block.height, digest))


def expire(context: Context, message: ExpireQuery) -> None:
    held = _open_query(context, message.number)
    if context.time_ms < held.deadline * MS_PER_S:
        refuse(ResultCode.TOO_EARLY, f"the question can be answered until {held.deadline}")
    _settle(context, message.number, QueryLeaf(*_terms(held), "expired"), held.asker)
    context.events.append(QueryExpired(message.number))


def _require_question(uri: str) -> None:
    """Refuses what this ledger can never answer: text that is not a canonical URI, and chains of other kinds."""
    if len(uri) > MAX_QUERY_URI_BYTES:
        refuse(ResultCode.BAD_QUERY, f"a question has at most {MAX_QUERY_URI_BYTES} characters, not {len(uri)}")
    try:
        asked = parse_uri(uri)
        canonical = print_uri(asked.question)
    except RejectedError as error:
        refuse(ResultCode.BAD_QUERY, error.message)
    if canonical != uri:
        refuse(ResultCode.BAD_QUERY, f"this is not the canonical form: write {canonical}")
    if not asked.question.chain.startswith(FOREIGN):
        refuse(ResultCode.BAD_QUERY, "the ledger verifies proofs about eip155 chains only")


def _fee(context: Context, message: AskQuery) -> int:
    try:
        fee = value_of(message.fee)
    except RejectedError as error:
        refuse(ResultCode.BAD_AMOUNT, error.message)
    if not fee and message.asset:
        refuse(ResultCode.BAD_AMOUNT, "a question without a fee names no asset")
    if fee and read_asset(context.state, message.asset) is None:
        refuse(ResultCode.UNKNOWN_ASSET, NO_SUCH_ASSET)
    return fee


def _open_query(context: Context, number: int) -> QueryLeaf:
    held = read(context.state, query_key(number), QueryLeaf) if 0 < number <= MAX_NUMBER else None
    if held is None:
        refuse(ResultCode.UNKNOWN_QUERY, f"there is no question {number}")
    if held.status != "open":
        refuse(ResultCode.QUERY_CLOSED, f"the question is {held.status} already")
    return held


def _require_attested(context: Context, question: Question, proof: Bare) -> None:
    header = proof.header
    attested = read(context.state, attested_header_key(question.chain, header.number), HeaderLeaf)
    if attested is None:
        refuse(ResultCode.BAD_PROOF, f"block {header.number} of {question.chain} is not attested here")
    if (attested.block_hash, attested.time) != (proof.block_hash, header.timestamp):
        refuse(ResultCode.BAD_PROOF, f"block {attested.block_hash.hex()} is attested at this height")


def _settle(context: Context, number: int, leaf: QueryLeaf, payee: bytes) -> None:
    write(context.state, query_key(number), leaf)
    asking_key = open_queries_key(leaf.asker)
    write_count(context.state, asking_key, read_count(context.state, asking_key) - 1)
    if leaf.fee:
        move(context, FEES, payee, leaf.asset, value_of(leaf.fee))


def _terms(held: QueryLeaf) -> tuple[bytes, str, int, int, int, str, bytes]:
    return held.asker, held.uri, held.first, held.last, held.deadline, held.asset, held.fee
