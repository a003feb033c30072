"""Answers that whoever has them can check again, without asking anybody.

`verify` is pure. It takes a bundle of an alert, a trace or a figure, or a whole answer with its `proof`. It runs the
same functions over the document's own data and compares, and verifies evidence of chains by the reader's own anchors.
It proves that the result follows from the data; that the data is what the chains say is shown by evidence alone.
"""

from typing import Any

from core.model.errors import RejectedError
from regulator_api.proofs.answers import KIND as ANSWER
from regulator_api.proofs.answers import MAX_ANSWER_BYTES, Ground, is_answer, needs_anchor, verify_answer
from regulator_api.sealing import CHECKS, MAX_BUNDLE_BYTES, Verified, open_bundle, read_json, seal

__all__ = ["MAX_BUNDLE_BYTES", "Ground", "Verified", "is_bundle", "needs_anchor", "seal", "verify"]


def is_bundle(document: Any) -> bool:
    """Return true if a document says that it is a bundle, or an answer with its proof."""
    return isinstance(document, dict) and (document.get("kind") in CHECKS or is_answer(document))


def verify(raw: bytes, ground: Ground | None = None) -> Verified:
    """Check a bundle, or an answer with its proof. Raise `RejectedError` that says what does not hold, and for anything
    that is neither. An answer with evidence of chains needs `ground`."""
    if len(raw) > MAX_ANSWER_BYTES:
        raise RejectedError(f"an answer with its proof has at most {MAX_ANSWER_BYTES} bytes, not {len(raw)}")
    document = read_json(raw)
    if not is_answer(document):
        return open_bundle(raw)
    found = verify_answer(document, ground)
    return Verified(ANSWER, found.digest, found.sentence, found.caution)
