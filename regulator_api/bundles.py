"""Answers that whoever has them can check again: a bundle holds everything that its result was computed from.

`verify` is pure. It runs the same function over the bundle's own data and compares. It proves that the result follows
from the data; that the data is what the chains say is shown by the evidence of each transfer.
"""

import hashlib
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
    """A bundle that holds: its kind, its digest, and what it shows."""

    kind: str
    digest: str
    shows: str


def seal(kind: str, body: Mapping[str, Any]) -> bytes:
    """Return a bundle as canonical JSON. Raise `RejectedError` if it would be larger than `MAX_BUNDLE_BYTES`."""
    content = {**body, "version": 1, "kind": kind}
    raw = msgspec.json.encode({**content, "digest": _digest(content)}, order="sorted")
    if len(raw) > MAX_BUNDLE_BYTES:
        raise RejectedError(
            f"the bundle has {len(raw)} bytes, at most {MAX_BUNDLE_BYTES} are possible: repeat the run over the whole "
            "history instead (causeway supervise replay)"
        )
    return raw


def is_bundle(document: Any) -> bool:
    """Return true if a document says that it is a bundle."""
    return isinstance(document, dict) and document.get("kind") in CHECKS


def verify(raw: bytes) -> Verified:
    """Check a bundle. Raise `RejectedError` that says what does not hold, and for anything that is not a bundle."""
    if len(raw) > MAX_BUNDLE_BYTES:
        raise RejectedError(f"a bundle has at most {MAX_BUNDLE_BYTES} bytes, not {len(raw)}")
    try:
        document = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise RejectedError(f"this is not JSON: {error}") from None
    except RecursionError:
        raise RejectedError("this is not a bundle: it is nested too deeply") from None
    if not isinstance(document, dict) or document.get("version") != 1:
        raise RejectedError("this is not a bundle of version 1")
    kind, digest = document.get("kind"), document.pop("digest", None)
    check = CHECKS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise RejectedError(f"bundles are of these kinds: {', '.join(CHECKS)}")
    if digest != _digest(document):
        raise RejectedError("the bundle's digest does not fit its content: it was changed")
    return Verified(str(kind), str(digest), check(document))


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(PREFIX + msgspec.json.encode(content, order="sorted")).hexdigest()
