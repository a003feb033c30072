"""Answers with their proofs, and what somebody could do to them on the way."""

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from core.model.errors import RejectedError
from regulator_api import bundles
from regulator_api.bundles import Ground, Verified
from regulator_api.proofs.answers import sealed

BIT = 0x01


def verified(raw: bytes, ground: Ground | None = None) -> Verified:
    """The answer holds, and no byte of it can be changed."""
    found = bundles.verify(raw, ground)
    step = max(1, len(raw) // 40)
    for place in range(step // 2, len(raw), step):
        changed = raw[:place] + bytes([raw[place] ^ BIT]) + raw[place + 1 :]
        if changed.decode(errors="replace").strip() != raw.decode().strip():
            with pytest.raises(RejectedError):
                bundles.verify(changed, ground)
    return found


def forged(document: Any, at: str, value: Any) -> bytes:
    """The document with another value at a JSON pointer, and a digest that fits: whoever forges can compute it."""
    made = copy.deepcopy(document)
    *steps, last = [int(one) if one.isdigit() else one for one in at.strip("/").split("/")]
    inner = made
    for step in steps:
        inner = inner[step]
    assert inner[last] != value, at
    inner[last] = value
    proof = {name: one for name, one in made.pop("proof").items() if name != "digest"}
    return sealed(made, proof)


def refusal(document: Any, at: str, value: Any, ground: Ground | None = None) -> str | None:
    """Why a reader refuses the document with another value at a JSON pointer, None if they believe it. Its digest fits,
    so that it is not the reason."""
    try:
        bundles.verify(forged(document, at, value), ground)
    except RejectedError as error:
        reason = error.message
    else:
        return None
    assert "digest" not in reason
    return reason


def amounts(document: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Every amount in base units outside the proof, by its pointer."""
    if isinstance(document, list):
        for place, one in enumerate(document):
            yield from amounts(one, f"{at}/{place}")
    if isinstance(document, dict):
        for name, one in document.items():
            if name == "base_units":
                yield f"{at}/base_units", one
            elif name not in ("proof", "bundle"):
                yield from amounts(one, f"{at}/{name}")


def document_of(raw: bytes) -> Any:
    return msgspec.json.decode(raw)


JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**70,
    1e300,
    "",
    "\ud800",
    "0x",
    "9" * 90,
    [],
    {},
    [[[]]],
    {"at": 1},
    "memory:a",
)


def places(document: Any, at: str = "") -> Iterator[str]:
    """A pointer to every value in a document."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for name, one in inner if isinstance(document, dict | list) else ():
        yield f"{at}/{name}"
        if isinstance(one, dict | list):
            yield from places(one, f"{at}/{name}")
