"""Damage to evidence files, and forgery by someone who knows how their digest is made."""

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from core.model.errors import RejectedError
from core.proofs.errors import ProofError
from core.proofs.evidence import Verified


def refuse_flipped(file: bytes, data: st.DataObject, verified: Callable[[bytes], Verified]) -> None:
    """Require that the file is not believed with a bit turned."""
    touched = flip(file, data.draw(st.integers(0, 8 * len(file) - 1)))
    with pytest.raises(ProofError):
        verified(touched)


def proven_by(forged: bytes | None, verified: Callable[[bytes], Verified]) -> Verified | None:
    """Return what a forged file proves, None if there is none or it is refused."""
    if forged is None:
        return None
    try:
        return verified(forged)
    except RejectedError:
        return None


def flip(data: bytes, bit: int) -> bytes:
    """The same bytes with one bit turned."""
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def forge(file: bytes, part: str, data: st.DataObject) -> bytes | None:
    """The file with one bit of one member turned and the digest made to fit.

    None if the result is not JSON, or says what the file said.
    """
    body = json.loads(file)
    del body["digest"]
    plain = _compact(body[part])
    try:
        body[part] = json.loads(flip(plain, data.draw(st.integers(0, 8 * len(plain) - 1))))
    except ValueError:
        return None
    forged = _digested(body)
    return None if forged == file else forged


ODD_VALUES: list[Any] = [
    None, True, -1, 0, 2**70, "", "x", "\ud800", "0", "-1", "00", "ZZ", [], [[]], {}, {"type": "lock"}, ["0" * 70],
]  # fmt: skip


def replant(file: bytes, data: st.DataObject) -> bytes | None:
    """The file with one value anywhere in it replaced by something of another kind, the digest made to fit."""
    forged = replanted(file, lambda places: data.draw(st.sampled_from(places)), data.draw(st.sampled_from(ODD_VALUES)))
    return None if forged == file else forged


def replanted(file: bytes, choose: Callable[[list[tuple[Any, Any]]], tuple[Any, Any]], odd: Any) -> bytes:
    """Return the file with the value at a chosen (container, key) replaced by `odd`, the digest made to fit."""
    body = json.loads(file)
    del body["digest"]
    container, key = choose(places(body))
    container[key] = odd
    return _digested(body)


def redigested(file: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return the file with its bytes but for the digest changed, and the digest made to fit if they are still JSON."""
    body = json.loads(file)
    del body["digest"]
    touched = change(_compact(body))
    try:
        found = json.loads(touched)
    except ValueError:
        return touched
    return _digested(found) if isinstance(found, dict) else touched


def _digested(body: dict[str, Any]) -> bytes:
    return _compact({**body, "digest": hashlib.sha256(_compact(body)).hexdigest()})


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    return list(_walk(value))


def _walk(value: Any) -> Iterator[tuple[Any, Any]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield value, key
        yield from _walk(member)


def _compact(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
