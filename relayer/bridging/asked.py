"""Questions that are asked on chains, durably: their terms next to their machine, and the proofs that are kept.

A question's state is its stream's (`queries.engine`). Its row says where it is asked and for what, so that those that
are open are found without a look at all that ever were. Plain functions over a `Connection`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.boards import ChainQuery
from core.model.errors import CausewayError, NotFoundError, RetryableError
from core.model.types import ChainId
from core.runtime import journal
from core.runtime.database import METADATA
from queries import engine
from queries.model import Place, Proof, QueryId, QueryState, Request

PAGE: Final = 500

relayer_questions = sa.Table(
    "relayer_questions",
    METADATA,
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("chain", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("done", sa.Boolean, nullable=False),
    sa.Column("updated_ns", sa.BigInteger, nullable=False),
    sa.Index(None, "chain", "done"),
    sa.Index(None, "done", "updated_ns"),
)
"""`body`: the `ChainQuery` as JSON. `chain`: where it is asked."""
relayer_question_proofs = sa.Table(
    "relayer_question_proofs",
    METADATA,
    sa.Column("query_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("evidence", sa.LargeBinary, nullable=False),
)
"""Evidence of open questions as a file holds it, by its SHA-256, which the machine knows it by."""
TABLES: Final = (relayer_questions, relayer_question_proofs)

_Q: Final = relayer_questions.c
_P: Final = relayer_question_proofs.c
_OF: Final[sa.BindParameter[Any]] = sa.bindparam("of_query")
_INSERT: Final = sa.insert(relayer_questions)
_CHANGE: Final = sa.update(relayer_questions).where(_Q.query_id == _OF)
_ROW: Final = sa.select(_Q.body).where(_Q.query_id == _OF)
_OPEN: Final = (
    sa.select(_Q.query_id, _Q.body)
    .where(_Q.chain == sa.bindparam("on_chain"), ~_Q.done, _Q.query_id > sa.bindparam("behind"))
    .order_by(_Q.query_id)
    .limit(PAGE)
)
_ENDED: Final = (
    sa.select(_Q.query_id)
    .where(_Q.done, _Q.updated_ns < sa.bindparam("before_ns"))
    .order_by(_Q.updated_ns)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_INSERT_PROOF: Final = sa.insert(relayer_question_proofs)
_PROOF: Final = sa.select(_P.evidence).where(_P.query_id == _OF, _P.digest == sa.bindparam("of_digest"))
_FORGET_PROOFS: Final = sa.delete(relayer_question_proofs).where(_P.query_id == _OF)
_FORGET: Final = sa.delete(relayer_questions).where(_Q.query_id == _OF)

_decoder = msgspec.json.Decoder(ChainQuery)


@dataclass(frozen=True, slots=True)
class Open:
    """An open question: what its chain shows of it, and how far it is."""

    query: ChainQuery
    state: QueryState

    @property
    def stream(self) -> str:
        return engine.STREAM_PREFIX + self.state.query_id


def request_of(query: ChainQuery, answering: ChainId) -> Request:
    """Return what the machine knows of the question. Raise `RejectedError` for one that contradicts itself."""
    return Request(
        uri=query.uri,
        answering=answering,
        first=query.first,
        last=query.last,
        deadline_s=query.deadline.seconds,
        place=Place(query.block.chain, query.holder, query.number),
    )


def begin(connection: Connection, query: ChainQuery, request: Request, *, now_s: int, now_ns: int) -> Open:
    """Store a question that is new. Raise `ConflictError` if it exists."""
    state = engine.begin(connection, request, query.block, now_s=now_s, now_ns=now_ns)
    row = {"query_id": state.query_id, "chain": query.block.chain, "body": msgspec.json.encode(query)}
    connection.execute(_INSERT, row | {"done": False, "updated_ns": now_ns})
    return Open(query, state)


def exists(connection: Connection, query_id: QueryId) -> bool:
    return connection.execute(_ROW, {"of_query": query_id}).first() is not None


def change(connection: Connection, query_id: QueryId, query: ChainQuery) -> None:
    """Note what the chain shows now: after a reorg, the same question may stand in another block, by another asker."""
    connection.execute(_CHANGE, {"of_query": query_id, "body": msgspec.json.encode(query)})


def load(connection: Connection, query_id: QueryId) -> Open:
    """Raise `NotFoundError`."""
    row = connection.execute(_ROW, {"of_query": query_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"no question {query_id[:64]!r}")
    return Open(_decoder.decode(row.body), engine.load(connection, engine.STREAM_PREFIX + query_id))


def open_on(connection: Connection, chain: ChainId) -> tuple[list[Open], dict[QueryId, Exception]]:
    """Return all questions of a chain that have not ended, and those that cannot be read, with the reason."""
    found, failed, behind = list[Open](), dict[QueryId, Exception](), ""
    while True:
        rows = connection.execute(_OPEN, {"on_chain": chain, "behind": behind}).all()
        for row in rows:
            try:
                state = engine.load(connection, engine.STREAM_PREFIX + row.query_id)
                found.append(Open(_decoder.decode(row.body), state))
            except RetryableError:
                raise
            except (CausewayError, msgspec.MsgspecError) as error:
                failed[QueryId(row.query_id)] = error
        if len(rows) < PAGE:
            return found, failed
        behind = rows[-1].query_id


def finish(connection: Connection, query_id: QueryId, now_ns: int) -> None:
    """Note that the question has ended. What it still asked for is not to be done, and its proof is not needed."""
    for effect in journal.stream_effects(connection, engine.STREAM_PREFIX + query_id):
        if effect.status is journal.EffectStatus.PENDING:
            journal.complete_effect(connection, effect.key, now_ns=now_ns)
    connection.execute(_CHANGE, {"of_query": query_id, "done": True, "updated_ns": now_ns})
    connection.execute(_FORGET_PROOFS, {"of_query": query_id})


def forget(connection: Connection, query_id: QueryId) -> None:
    """Delete a question as if it had never been seen."""
    journal.forget(connection, engine.STREAM_PREFIX + query_id)
    connection.execute(_FORGET_PROOFS, {"of_query": query_id})
    connection.execute(_FORGET, {"of_query": query_id})


def prune(connection: Connection, before_ns: int, limit: int) -> int:
    """Forget questions that ended before then, at most `limit`; return how many."""
    found: Sequence[Any] = connection.execute(_ENDED, {"before_ns": before_ns, "most": limit}).scalars().all()
    for query_id in found:
        forget(connection, QueryId(query_id))
    return len(found)


def keep_proof(connection: Connection, query_id: QueryId, proof: Proof, evidence: bytes) -> None:
    """Keep the evidence of a proof, in place of what was kept before."""
    connection.execute(_FORGET_PROOFS, {"of_query": query_id})
    connection.execute(_INSERT_PROOF, {"query_id": query_id, "digest": proof.digest, "evidence": evidence})


def kept_proof(connection: Connection, query_id: QueryId, proof: Proof) -> bytes:
    """Return the evidence of a proof. Raise `NotFoundError`."""
    found = connection.execute(_PROOF, {"of_query": query_id, "of_digest": proof.digest}).scalar()
    if found is None:
        raise NotFoundError(f"the proof of question {query_id} is not kept")
    return bytes(found)
