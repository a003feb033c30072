"""Evidence and anchors as JSON files, at most 1 MiB, in exactly one form.

The `digest` member of an evidence file is the SHA-256 of everything else in it. It proves nothing, anyone can compute
it: it sets damaged files apart from forged ones, and catches damage in parts that no true answer depends on, such as
the terms in a question about a lock that is absent.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from core.model.errors import RejectedError
from core.model.identifiers import parse_chain
from core.model.questions import Anchor, AsOf, Evidence
from core.model.types import MAX_IDENTIFIER_CHARS, BlockRef, ChainId, ChainTime, Height, Seconds
from core.proofs.errors import MalformedProofError
from core.proofs.evidence import canonical
from core.proofs.evidence.canonical import MAX_DOCUMENT_BYTES, members
from core.proofs.evidence.forms import (
    HASH_SIZE,
    Json,
    answer_from_json,
    answer_to_json,
    question_from_json,
    question_to_json,
)

FORMAT_VERSION = 1
MAX_TRUSTING_PERIOD_S = 10 * 365 * 86_400


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


# --- as of -------------------------------------------------------------------------------------------------------


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
        canonical.text(fields["finality"], MAX_IDENTIFIER_CHARS),
    )
