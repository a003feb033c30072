"""Evidence and anchors as JSON files, at most 1 MiB, in exactly one form.

The `digest` member of an evidence file is the SHA-256 of everything else in it. It proves nothing, anyone can compute
it: it sets damaged files apart from forged ones, and catches damage in parts that no true answer depends on, such as
the terms in a question about a lock that is absent.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from core.model.errors import RejectedError
from core.model.facts import LockStatus
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.questions import (
    Anchor,
    Answer,
    AsOf,
    BalanceAnswer,
    BalanceQuestion,
    Evidence,
    LockAnswer,
    LockQuestion,
    Question,
    RecordAnswer,
    RecordQuestion,
)
from core.model.types import (
    MAX_BASE_UNITS,
    MAX_IDENTIFIER_CHARS,
    MAX_TIMELOCK_S,
    AccountId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Seconds,
    chain_of,
    hashlock,
)
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.canonical import MAX_DOCUMENT_BYTES, members

FORMAT_VERSION = 1
HASH_SIZE = 32
MAX_RECORD_BYTES = 1 << 18
MAX_TRUSTING_PERIOD_S = 10 * 365 * 86_400

Json = dict[str, Any]


# --- files -------------------------------------------------------------------------------------------------------


def encode_evidence(evidence: Evidence) -> bytes:
    """The file's bytes. Raise MalformedProofError when they exceed 1 MiB or the proof is not canonical JSON."""
    body = {
        "version": FORMAT_VERSION,
        "kind": evidence.kind,
        "question": question_to_json(evidence.question),
        "answer": answer_to_json(evidence.answer),
        "as_of": as_of_to_json(evidence.as_of),
        "proof": canonical.load(evidence.proof),
    }
    data = canonical.dump({**body, "digest": _digest(body)})
    if len(data) > MAX_DOCUMENT_BYTES:
        raise MalformedProofError("evidence is too large", limit=MAX_DOCUMENT_BYTES)
    return data


def decode_evidence(data: bytes) -> Evidence:
    """Parse an evidence file. Nothing in it is proven by this. Raise MalformedProofError."""
    names = ("version", "kind", "question", "answer", "as_of", "proof", "digest")
    fields = members(canonical.load(data), *names)
    if fields["version"] != FORMAT_VERSION:
        raise MalformedProofError("evidence has an unknown format version", supported=FORMAT_VERSION)
    if fields["digest"] != _digest({name: fields[name] for name in names if name != "digest"}):
        raise MalformedProofError("evidence is damaged: its digest does not match")
    evidence = Evidence(
        question_from_json(fields["question"]),
        answer_from_json(fields["answer"]),
        as_of_from_json(fields["as_of"]),
        canonical.text(fields["kind"], MAX_IDENTIFIER_CHARS),
        canonical.dump(fields["proof"]),
    )
    if encode_evidence(evidence) != data:
        raise MalformedProofError("evidence is not in its canonical form")
    return evidence


def encode_anchor(anchor: Anchor) -> bytes:
    """The file's bytes."""
    return canonical.dump(
        {
            "version": FORMAT_VERSION,
            "chain": anchor.chain,
            "genesis_hash": anchor.genesis_hash.hex(),
            "trusted_height": anchor.trusted_height,
            "trusted_hash": anchor.trusted_hash.hex(),
            "trusting_period_s": anchor.trusting_period_s,
        }
    )


def decode_anchor(data: bytes) -> Anchor:
    """Parse an anchor file, in any layout, since people write these. Raise MalformedProofError."""
    names = ("version", "chain", "genesis_hash", "trusted_height", "trusted_hash", "trusting_period_s")
    fields = members(canonical.load(data, any_layout=True), *names)
    if fields["version"] != FORMAT_VERSION:
        raise MalformedProofError("anchor has an unknown format version", supported=FORMAT_VERSION)
    return Anchor(
        _chain(fields["chain"]),
        _hash(fields["genesis_hash"]),
        Height(canonical.integer(fields["trusted_height"])),
        _hash(fields["trusted_hash"]),
        Seconds(canonical.integer(fields["trusting_period_s"], MAX_TRUSTING_PERIOD_S)),
    )


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical.dump(body)).hexdigest()


def _chain(value: Any) -> ChainId:
    name = canonical.text(value, MAX_IDENTIFIER_CHARS)
    try:
        return parse_chain(name)
    except RejectedError as error:
        raise MalformedProofError(error.message) from error


def _hash(value: Any) -> bytes:
    raw = canonical.hex_bytes(value, HASH_SIZE)
    if len(raw) != HASH_SIZE:
        raise MalformedProofError("a hash has 32 bytes")
    return raw


# --- questions ---------------------------------------------------------------------------------------------------


def question_to_json(question: Question) -> Json:
    """The question as an object with its `type`."""
    if isinstance(question, RecordQuestion):
        return {
            "type": "record",
            "chain": question.chain,
            "namespace": question.namespace,
            "key": question.key,
        }
    if isinstance(question, LockQuestion):
        return {
            "type": "lock",
            "chain": question.chain,
            "lock_id": question.lock_id,
            "terms": _terms_to_json(question.terms),
            "holder": question.holder,
        }
    return {
        "type": "balance",
        "chain": question.chain,
        "account": question.account,
        "asset": question.asset,
    }


def question_from_json(value: Any) -> Question:
    """Inverse of `question_to_json`. Raise MalformedProofError."""
    kind = value.get("type") if isinstance(value, dict) else None
    try:
        if kind == "record":
            fields = members(value, "type", "chain", "namespace", "key")
            return RecordQuestion(
                parse_chain(_identifier(fields["chain"])),
                _identifier(fields["namespace"]),
                _identifier(fields["key"]),
            )
        if kind == "lock":
            fields = members(value, "type", "chain", "lock_id", "terms", "holder")
            return LockQuestion(
                parse_chain(_identifier(fields["chain"])),
                LockId(_identifier(fields["lock_id"])),
                _terms_from_json(fields["terms"]),
                canonical.optional(fields["holder"], _account),
            )
        if kind == "balance":
            fields = members(value, "type", "chain", "account", "asset")
            return BalanceQuestion(
                parse_chain(_identifier(fields["chain"])),
                _account(fields["account"]),
                parse_asset(_identifier(fields["asset"])),
            )
    except MalformedProofError:
        raise
    except RejectedError as error:
        raise MalformedProofError(f"question is malformed: {error.message}") from error
    raise MalformedProofError("question has an unknown type")


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


def _identifier(value: Any) -> str:
    return canonical.text(value, MAX_IDENTIFIER_CHARS)


def _account(value: Any) -> AccountId:
    return parse_account(_identifier(value))


# --- answers -----------------------------------------------------------------------------------------------------


def answer_to_json(answer: Answer) -> Json:
    """The answer as an object with its `type`; documents are hex."""
    if isinstance(answer, RecordAnswer):
        return {
            "type": "record",
            "version": answer.version,
            "author": answer.author,
            "document": answer.document.hex(),
        }
    if isinstance(answer, LockAnswer):
        return {
            "type": "lock",
            "status": answer.status.value,
            "terms_match": answer.terms_match,
            "code_hash": answer.code_hash.hex(),
        }
    return {"type": "balance", "amount": str(answer.amount)}


def answer_from_json(value: Any) -> Answer:
    """Inverse of `answer_to_json`. Raise MalformedProofError."""
    kind = value.get("type") if isinstance(value, dict) else None
    try:
        if kind == "record":
            fields = members(value, "type", "version", "author", "document")
            return RecordAnswer(
                canonical.integer(fields["version"]),
                canonical.optional(fields["author"], _account),
                canonical.hex_bytes(fields["document"], MAX_RECORD_BYTES),
            )
        if kind == "lock":
            fields = members(value, "type", "status", "terms_match", "code_hash")
            return LockAnswer(
                LockStatus(canonical.text(fields["status"], MAX_IDENTIFIER_CHARS)),
                canonical.boolean(fields["terms_match"]),
                canonical.hex_bytes(fields["code_hash"], HASH_SIZE),
            )
        if kind == "balance":
            fields = members(value, "type", "amount")
            return BalanceAnswer(BaseUnits(canonical.decimal(fields["amount"], MAX_BASE_UNITS)))
    except MalformedProofError:
        raise
    except (RejectedError, ValueError) as error:
        raise MalformedProofError("answer is malformed") from error
    raise MalformedProofError("answer has an unknown type")


def as_of_to_json(as_of: AsOf) -> Json:
    """The block that answers; `time` is its own chain's, in Unix seconds."""
    return {
        "chain": as_of.block.chain,
        "height": as_of.block.height,
        "block_hash": as_of.block.hash.hex(),
        "time": as_of.time.seconds,
        "finality": as_of.finality,
    }


def as_of_from_json(value: Any) -> AsOf:
    """Inverse of `as_of_to_json`. Raise MalformedProofError."""
    fields = members(value, "chain", "height", "block_hash", "time", "finality")
    chain = _chain(fields["chain"])
    return AsOf(
        BlockRef(chain, Height(canonical.integer(fields["height"])), _hash(fields["block_hash"])),
        ChainTime(chain, canonical.integer(fields["time"])),
        _identifier(fields["finality"]),
    )
