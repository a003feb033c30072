"""Bundles of alerts, traces and figures: each holds everything that its result was computed from.

`open_bundle` is pure. It runs the same function over the bundle's own data and compares. It proves that the result
follows from the data; that the data is what the chains say is shown by the evidence of each transfer.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from core.model.errors import RejectedError
from regulator_api.reading import figures
from regulator_api.rules import bundles as rules
from regulator_api.tracing import bundle as tracing

MAX_BUNDLE_BYTES: Final = 1 << 20
PREFIX: Final = b"causeway bundle v1\0"

Check = Callable[[Mapping[str, Any]], str]
"""Run a bundle's function again. Return what was found in one sentence. Raise `RejectedError` if it differs."""
CHECKS: Final[Mapping[str, Check]] = {rules.KIND: rules.check, tracing.KIND: tracing.check, figures.KIND: figures.check}
"""By the bundle's `kind`."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A bundle that holds: its kind, its digest, what it shows, and what of it is not proven."""

    kind: str
    digest: str
    shows: str
    caution: str = ""


def seal(kind: str, body: Mapping[str, Any]) -> bytes:
    """Return a bundle as canonical JSON. Raise `RejectedError` if it would be larger than `MAX_BUNDLE_BYTES`."""
    content = {**body, "version": 1, "kind": kind}
    raw = msgspec.json.encode({**content, "digest": digest_of(content)}, order="sorted")
    if len(raw) > MAX_BUNDLE_BYTES:
        raise RejectedError(
            f"the bundle has {len(raw)} bytes, at most {MAX_BUNDLE_BYTES} are possible: repeat the run over the whole "
            "history instead (causeway supervise replay)"
        )
    return raw


def open_bundle(raw: bytes) -> Verified:
    """Check a bundle. Raise `RejectedError` that says what does not hold, and for anything that is not a bundle."""
    if len(raw) > MAX_BUNDLE_BYTES:
        raise RejectedError(f"a bundle has at most {MAX_BUNDLE_BYTES} bytes, not {len(raw)}")
    document = read_json(raw)
    if not isinstance(document, dict) or document.get("version") != 1:
        raise RejectedError("this is not a bundle of version 1")
    kind, digest = document.get("kind"), document.pop("digest", None)
    check = CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise RejectedError(f"bundles are of these kinds: {', '.join(CHECKS)}")
    if digest != digest_of(document):
        raise RejectedError("the bundle's digest does not fit its content: it was changed")
    return Verified(str(kind), str(digest), check(document))


def read_json(raw: bytes) -> Any:
    """Return a document. Raise `RejectedError` for what is not JSON, or says one name twice: readers differ in which of
    the two counts (RFC 8259 section 4)."""
    try:
        found = json.loads(raw, object_pairs_hook=_distinct, parse_constant=_no_number)
        msgspec.json.encode(found)  # half a surrogate pair, and numbers that no reader has, are in no form of ours
        return found
    except RecursionError:
        raise RejectedError("this is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise RejectedError(f"this is not JSON: {error}") from None


def _distinct(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise ValueError("a name is there twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def digest_of(content: Mapping[str, Any], prefix: bytes = PREFIX) -> str:
    """The SHA-256 of a document in its one form: members sorted, no spaces. Raise `RejectedError` if it has none."""
    try:
        raw = msgspec.json.encode(content, order="sorted")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RejectedError(f"the document has something that JSON of ours has not: {error}") from None
    return hashlib.sha256(prefix + raw).hexdigest()
