"""Questions and answers as JSON objects, each in exactly one form. Their `type` names them; bytes are hex, amounts and
words decimal strings."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.model.consortium import MAX_TRANSACTION_BYTES
from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.questions import (
    MAX_CODE,
    MAX_LANE,
    MAX_LIST_ENTRIES,
    MAX_LOG_INDEX,
    MAX_SLOT,
    MAX_STATE_KEY_BYTES,
    Answer,
    BalanceAnswer,
    BalanceQuestion,
    EventLog,
    LaneAnswer,
    LaneQuestion,
    LeafAnswer,
    LeafQuestion,
    ListAnswer,
    ListQuestion,
    LockAnswer,
    LockQuestion,
    LogAnswer,
    LogQuestion,
    Question,
    RecordAnswer,
    RecordQuestion,
    StorageAnswer,
    StorageQuestion,
    TransactionAnswer,
    TransactionQuestion,
)
from core.model.types import (
    MAX_BASE_UNITS,
    MAX_IDENTIFIER_CHARS,
    MAX_TIMELOCK_S,
    AccountId,
    BaseUnits,
    ChainId,
    ChainTime,
    LockId,
    LockTerms,
    chain_of,
    hashlock,
)
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.canonical import members
from core.proofs.evidence.state import MAX_LEAF_BYTES
from core.proofs.lanes import COMMITMENT_SIZE, MAX_GENERATION

HASH_SIZE: Final = 32
MAX_TOPICS: Final = 4
MAX_LOGS: Final = MAX_LOG_INDEX + 1

Json = dict[str, Any]


def question_to_json(question: Question) -> Json:
    """The question as an object with its `type`."""
    body: Json
    match question:
        case RecordQuestion():
            body = {"type": "record", "namespace": question.namespace, "key": question.key}
        case LockQuestion():
            terms = _terms_to_json(question.terms)
            body = {"type": "lock", "lock_id": question.lock_id, "terms": terms, "holder": question.holder}
        case BalanceQuestion():
            body = {"type": "balance", "account": question.account, "asset": question.asset}
        case LeafQuestion():
            body = {"type": "leaf", "key": question.key.hex()}
        case ListQuestion():
            body = {"type": "list", "name": question.name, "first": question.first, "last": question.last}
        case StorageQuestion():
            body = {"type": "storage", "contract": question.contract, "slot": str(question.slot)}
        case LaneQuestion():
            body = {"type": "lane", "holder": question.holder, "sender": question.sender, "lane": question.lane}
        case LogQuestion():
            body = {"type": "log", "transaction": question.transaction.hex(), "index": question.index}
        case TransactionQuestion():
            body = {"type": "transaction", "transaction": question.transaction.hex()}
    return {**body, "chain": question.chain}


def question_from_json(value: Any) -> Question:
    """Inverse of `question_to_json`. Raise MalformedProofError."""
    kind = value.get("type") if isinstance(value, dict) else None
    form = _QUESTIONS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise MalformedProofError("question has an unknown type")
    names, read = form
    try:
        fields = members(value, "type", "chain", *names)
        return read(parse_chain(_identifier(fields["chain"])), fields)
    except MalformedProofError:
        raise
    except RejectedError as error:
        raise MalformedProofError(f"question is malformed: {error.message}") from error


def answer_to_json(answer: Answer) -> Json:
    """The answer as an object with its `type`; documents are hex."""
    match answer:
        case RecordAnswer():
            document = answer.document.hex()
            return {"type": "record", "version": answer.version, "author": answer.author, "document": document}
        case LockAnswer():
            return {
                "type": "lock",
                "status": answer.status.value,
                "terms_match": answer.terms_match,
                "code_hash": answer.code_hash.hex(),
            }
        case BalanceAnswer():
            return {"type": "balance", "amount": str(answer.amount)}
        case LeafAnswer():
            return {"type": "leaf", "value": None if answer.value is None else answer.value.hex()}
        case ListAnswer():
            return {"type": "list", "count": answer.count, "entries": [entry.hex() for entry in answer.entries]}
        case StorageAnswer():
            return {"type": "storage", "word": str(answer.word), "code_hash": answer.code_hash.hex()}
        case LaneAnswer():
            return {
                "type": "lane",
                "status": answer.status.value,
                "generation": answer.generation,
                "commitment": answer.commitment.hex(),
                "code_hash": answer.code_hash.hex(),
            }
        case LogAnswer():
            log = None if answer.log is None else _log_to_json(answer.log)
            return {"type": "log", "succeeded": answer.succeeded, "count": answer.count, "log": log}
        case TransactionAnswer():
            return {"type": "transaction", "code": answer.code, "raw": answer.raw.hex()}


def answer_from_json(value: Any) -> Answer:
    """Inverse of `answer_to_json`. Raise MalformedProofError."""
    kind = value.get("type") if isinstance(value, dict) else None
    form = _ANSWERS.get(kind) if isinstance(kind, str) else None
    if form is None:
        raise MalformedProofError("answer has an unknown type")
    names, read = form
    try:
        return read(members(value, "type", *names))
    except MalformedProofError:
        raise
    except (RejectedError, ValueError) as error:
        raise MalformedProofError("answer is malformed") from error


# --- questions ---------------------------------------------------------------------------------------------------


def _lock_question(chain: ChainId, fields: Mapping[str, Any]) -> LockQuestion:
    lock_id, terms = LockId(_identifier(fields["lock_id"])), _terms_from_json(fields["terms"])
    return LockQuestion(chain, lock_id, terms, canonical.optional(fields["holder"], _account))


def _terms_to_json(terms: LockTerms) -> Json:
    return {
        "asset": terms.asset,
        "amount": str(terms.amount),
        "sender": terms.sender,
        "receiver": terms.receiver,
        "hashlock": terms.hashlock.hex(),
        "timelock": terms.timelock.seconds,
    }


def _terms_from_json(value: Any) -> LockTerms:
    fields = members(value, "asset", "amount", "sender", "receiver", "hashlock", "timelock")
    asset = parse_asset(_identifier(fields["asset"]))
    return LockTerms(
        asset,
        BaseUnits(canonical.decimal(fields["amount"], MAX_BASE_UNITS)),
        _account(fields["sender"]),
        _account(fields["receiver"]),
        hashlock(canonical.hex_bytes(fields["hashlock"], HASH_SIZE)),
        ChainTime(chain_of(asset), canonical.integer(fields["timelock"], MAX_TIMELOCK_S)),
    )


_ReadQuestion = Callable[[ChainId, Mapping[str, Any]], Question]

_QUESTIONS: Final[Mapping[str, tuple[tuple[str, ...], _ReadQuestion]]] = {
    "record": (
        ("namespace", "key"),
        lambda chain, of: RecordQuestion(chain, _identifier(of["namespace"]), _identifier(of["key"])),
    ),
    "lock": (("lock_id", "terms", "holder"), _lock_question),
    "balance": (
        ("account", "asset"),
        lambda chain, of: BalanceQuestion(chain, _account(of["account"]), parse_asset(_identifier(of["asset"]))),
    ),
    "leaf": (("key",), lambda chain, of: LeafQuestion(chain, canonical.hex_bytes(of["key"], MAX_STATE_KEY_BYTES))),
    "list": (
        ("name", "first", "last"),
        lambda chain, of: ListQuestion(
            chain, _identifier(of["name"]), canonical.integer(of["first"]), canonical.integer(of["last"])
        ),
    ),
    "storage": (
        ("contract", "slot"),
        lambda chain, of: StorageQuestion(chain, _account(of["contract"]), canonical.decimal(of["slot"], MAX_SLOT)),
    ),
    "lane": (
        ("holder", "sender", "lane"),
        lambda chain, of: LaneQuestion(
            chain, _account(of["holder"]), _account(of["sender"]), canonical.integer(of["lane"], MAX_LANE)
        ),
    ),
    "log": (
        ("transaction", "index"),
        lambda chain, of: LogQuestion(
            chain, canonical.hex_bytes(of["transaction"], HASH_SIZE), canonical.integer(of["index"], MAX_LOG_INDEX)
        ),
    ),
    "transaction": (
        ("transaction",),
        lambda chain, of: TransactionQuestion(chain, canonical.hex_bytes(of["transaction"], HASH_SIZE)),
    ),
}
"""By type: the members next to `type` and `chain`, and what reads them."""


# --- answers -----------------------------------------------------------------------------------------------------


def _record_answer(fields: Mapping[str, Any]) -> RecordAnswer:
    return RecordAnswer(
        canonical.integer(fields["version"]),
        canonical.optional(fields["author"], _account),
        canonical.hex_bytes(fields["document"], MAX_LEAF_BYTES),
    )


def _lock_answer(fields: Mapping[str, Any]) -> LockAnswer:
    matches, code_hash = canonical.boolean(fields["terms_match"]), canonical.hex_bytes(fields["code_hash"], HASH_SIZE)
    return LockAnswer(_status(fields["status"]), matches, code_hash)


def _list_answer(fields: Mapping[str, Any]) -> ListAnswer:
    entries = canonical.items(fields["entries"], MAX_LIST_ENTRIES)
    return ListAnswer(
        canonical.integer(fields["count"]),
        tuple(canonical.hex_bytes(entry, MAX_LEAF_BYTES) for entry in entries),
    )


def _lane_answer(fields: Mapping[str, Any]) -> LaneAnswer:
    return LaneAnswer(
        _status(fields["status"]),
        canonical.integer(fields["generation"], MAX_GENERATION),
        canonical.hex_bytes(fields["commitment"], COMMITMENT_SIZE),
        canonical.hex_bytes(fields["code_hash"], HASH_SIZE),
    )


def _log_answer(fields: Mapping[str, Any]) -> LogAnswer:
    return LogAnswer(
        canonical.boolean(fields["succeeded"]),
        canonical.integer(fields["count"], MAX_LOGS),
        canonical.optional(fields["log"], _log_from_json),
    )


def _log_to_json(log: EventLog) -> Json:
    return {"contract": log.contract, "topics": [topic.hex() for topic in log.topics], "data": log.data.hex()}


def _log_from_json(value: Any) -> EventLog:
    fields = members(value, "contract", "topics", "data")
    topics = canonical.items(fields["topics"], MAX_TOPICS)
    return EventLog(
        _account(fields["contract"]),
        tuple(canonical.hex_bytes(topic, HASH_SIZE) for topic in topics),
        canonical.hex_bytes(fields["data"], MAX_LEAF_BYTES),
    )


_ReadAnswer = Callable[[Mapping[str, Any]], Answer]

_ANSWERS: Final[Mapping[str, tuple[tuple[str, ...], _ReadAnswer]]] = {
    "record": (("version", "author", "document"), _record_answer),
    "lock": (("status", "terms_match", "code_hash"), _lock_answer),
    "balance": (
        ("amount",),
        lambda of: BalanceAnswer(BaseUnits(canonical.decimal(of["amount"], MAX_BASE_UNITS))),
    ),
    "leaf": (
        ("value",),
        lambda of: LeafAnswer(
            canonical.optional(of["value"], lambda value: canonical.hex_bytes(value, MAX_LEAF_BYTES))
        ),
    ),
    "list": (("count", "entries"), _list_answer),
    "storage": (
        ("word", "code_hash"),
        lambda of: StorageAnswer(
            canonical.decimal(of["word"], MAX_SLOT), canonical.hex_bytes(of["code_hash"], HASH_SIZE)
        ),
    ),
    "lane": (("status", "generation", "commitment", "code_hash"), _lane_answer),
    "log": (("succeeded", "count", "log"), _log_answer),
    "transaction": (
        ("code", "raw"),
        lambda of: TransactionAnswer(
            canonical.integer(of["code"], MAX_CODE), canonical.hex_bytes(of["raw"], MAX_TRANSACTION_BYTES)
        ),
    ),
}
"""By type: the members next to `type`, and what reads them."""


def _status(value: Any) -> LockStatus:
    return LockStatus(canonical.text(value, MAX_IDENTIFIER_CHARS))


def _identifier(value: Any) -> str:
    return canonical.text(value, MAX_IDENTIFIER_CHARS)


def _account(value: Any) -> AccountId:
    return parse_account(_identifier(value))
