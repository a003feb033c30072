"""ICS-23 existence and non-existence proofs for the two tree layouts we meet: Tendermint's and SmtSpec.

Decoded from `CommitmentProof` protobuf, verified, and converted from our own compact SMT proofs, so that IBC tooling
can check the ledger's state. Source: ICS-23 "Vector Commitments", cosmos/ics23 proto `cosmos.ics23.v1`.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from core.proofs import smt
from core.proofs.errors import InvalidProofError, MalformedProofError
from core.proofs.protobuf import (
    Field,
    bytes_field,
    decode_fields,
    delimited,
    message_field,
    varint_field,
)

MAX_PROOF_BYTES = 1 << 20
CHILD_SIZE = 32

NO_HASH = 0
SHA256 = 1
NO_PREFIX = 0
VAR_PROTO = 1


@dataclass(frozen=True, slots=True)
class LeafOp:
    """How a leaf is hashed from key and value; the numbers are ICS-23's HashOp and LengthOp."""

    hash: int
    prehash_key: int
    prehash_value: int
    length: int
    prefix: bytes


@dataclass(frozen=True, slots=True)
class InnerOp:
    """One step upwards: H(prefix ‖ child ‖ suffix)."""

    hash: int
    prefix: bytes
    suffix: bytes


@dataclass(frozen=True, slots=True)
class ExistenceProof:
    """`key` holds `value`; the path goes from the leaf upwards."""

    key: bytes
    value: bytes
    leaf: LeafOp
    path: tuple[InnerOp, ...]


@dataclass(frozen=True, slots=True)
class NonExistenceProof:
    """`key` is absent because `left` and `right` are neighbours; one of them is None at an edge."""

    key: bytes
    left: ExistenceProof | None
    right: ExistenceProof | None


V = TypeVar("V", int, bytes)

CommitmentProof = ExistenceProof | NonExistenceProof


@dataclass(frozen=True, slots=True)
class ProofSpec:
    """A tree layout. In both layouts an inner node is H(0x01 ‖ left ‖ right) with children of 32 bytes."""

    leaf: LeafOp
    max_depth: int
    empty_child: bytes | None
    compare_hashed_keys: bool
    inner_prefix: bytes = b"\x01"


TENDERMINT_SPEC = ProofSpec(LeafOp(SHA256, NO_HASH, SHA256, VAR_PROTO, b"\x00"), 128, None, False)
SMT_SPEC = ProofSpec(LeafOp(SHA256, SHA256, SHA256, NO_PREFIX, b"\x00"), smt.MAX_DEPTH, smt.EMPTY, True)


def verify_existence(spec: ProofSpec, root: bytes, key: bytes, value: bytes, proof: CommitmentProof) -> None:
    """Prove that `key` holds `value` under `root`. Raise MalformedProofError or InvalidProofError."""
    if not isinstance(proof, ExistenceProof):
        raise InvalidProofError("not an existence proof")
    if proof.key != key or proof.value != value:
        raise InvalidProofError("existence proof is of another key or value")
    _verify_root(spec, root, proof)


def verify_non_existence(spec: ProofSpec, root: bytes, key: bytes, proof: CommitmentProof) -> None:
    """Prove that `key` is not under `root`. Raise MalformedProofError or InvalidProofError."""
    if not isinstance(proof, NonExistenceProof):
        raise InvalidProofError("not a non-existence proof")
    wanted = _compared(spec, key)
    if proof.key not in (key, wanted):  # sparse-tree provers write the hashed key here
        raise InvalidProofError("non-existence proof is of another key")
    left, right = proof.left, proof.right
    for neighbour in (left, right):
        if neighbour is not None:
            _verify_root(spec, root, neighbour)
    if left is not None and not _compared(spec, left.key) < wanted:
        raise InvalidProofError("left neighbour is not left of the key")
    if right is not None and not wanted < _compared(spec, right.key):
        raise InvalidProofError("right neighbour is not right of the key")
    if not _adjacent(spec, left, right):
        raise InvalidProofError("the two leaves are not neighbours")


def existence_from_smt(key: bytes, value: bytes, proof: smt.SmtProof) -> ExistenceProof:
    """Our compact inclusion proof in ICS-23 form. Raise MalformedProofError for an absence proof."""
    if proof.other_leaf is not None:
        raise MalformedProofError("an absence proof has no existence form")
    path = smt.path_of(key)
    steps = []
    for depth in range(len(proof.siblings) - 1, -1, -1):
        sibling = proof.siblings[depth]
        if smt.path_bit(path, depth):
            steps.append(InnerOp(SHA256, smt.INNER_PREFIX + sibling, b""))
        else:
            steps.append(InnerOp(SHA256, smt.INNER_PREFIX, sibling))
    return ExistenceProof(key, value, SMT_SPEC.leaf, tuple(steps))


# --- verification ------------------------------------------------------------------------------------------------


def _verify_root(spec: ProofSpec, root: bytes, proof: ExistenceProof) -> None:
    if not proof.key or not proof.value:
        raise MalformedProofError("ICS-23 proves neither empty keys nor empty values")
    if proof.leaf != spec.leaf:
        raise InvalidProofError("leaf is not hashed as the layout says")
    if len(proof.path) > spec.max_depth:
        raise MalformedProofError("existence proof is too deep", depth=len(proof.path))
    node = hashlib.sha256(
        spec.leaf.prefix
        + _prepared(spec.leaf.prehash_key, spec.leaf.length, proof.key)
        + _prepared(spec.leaf.prehash_value, spec.leaf.length, proof.value)
    ).digest()
    for step in proof.path:
        _branch(spec, step)
        node = hashlib.sha256(step.prefix + node + step.suffix).digest()
    if node != root:
        raise InvalidProofError("existence proof leads to another root")


def _prepared(hash_op: int, length_op: int, data: bytes) -> bytes:
    hashed = hashlib.sha256(data).digest() if hash_op == SHA256 else data
    return delimited(hashed) if length_op == VAR_PROTO else hashed


def _branch(spec: ProofSpec, step: InnerOp) -> int:
    """0 if the proven child is the left one, 1 for the right. Raise InvalidProofError for any other form."""
    start = len(spec.inner_prefix)
    if step.hash == SHA256 and step.prefix[:start] == spec.inner_prefix:
        if len(step.prefix) == start and len(step.suffix) == CHILD_SIZE:
            return 0
        if len(step.prefix) == start + CHILD_SIZE and not step.suffix:
            return 1
    raise InvalidProofError("inner node is not hashed as the layout says")


def _compared(spec: ProofSpec, key: bytes) -> bytes:
    return hashlib.sha256(key).digest() if spec.compare_hashed_keys else key


def _nothing_beside(spec: ProofSpec, step: InnerOp, side: int) -> bool:
    """Return true if no leaf lies on `side` of the child that this step proves."""
    if _branch(spec, step) == side:
        return True
    sibling = step.suffix if side else step.prefix[len(spec.inner_prefix) :]
    return spec.empty_child is not None and sibling == spec.empty_child


def _outermost(spec: ProofSpec, path: Sequence[InnerOp], side: int) -> bool:
    return all(_nothing_beside(spec, step, side) for step in path)


def _adjacent(spec: ProofSpec, left: ExistenceProof | None, right: ExistenceProof | None) -> bool:
    if left is None:
        return right is not None and _outermost(spec, right.path, 0)
    if right is None:
        return _outermost(spec, left.path, 1)
    # From the root down the two paths run together, fork once, and then keep to each other's side.
    shared = 0
    for ours, theirs in zip(reversed(left.path), reversed(right.path), strict=False):
        if ours != theirs:
            break
        shared += 1
    below_left, below_right = left.path[: len(left.path) - shared], right.path[: len(right.path) - shared]
    if not below_left or not below_right:
        return False
    forks = _branch(spec, below_left[-1]) == 0 and _branch(spec, below_right[-1]) == 1
    return forks and _outermost(spec, below_left[:-1], 1) and _outermost(spec, below_right[:-1], 0)


# --- protobuf ----------------------------------------------------------------------------------------------------


def decode_commitment_proof(data: bytes) -> CommitmentProof:
    """Parse a `CommitmentProof`; batch and compressed proofs are refused. Raise MalformedProofError."""
    if len(data) > MAX_PROOF_BYTES:
        raise MalformedProofError("ICS-23 proof is too large", limit=MAX_PROOF_BYTES)
    members = list(decode_fields(data))
    if len(members) != 1 or members[0].number not in (1, 2):
        raise MalformedProofError("not a single existence or non-existence proof")
    body = _bytes(members[0])
    return _decode_existence(body) if members[0].number == 1 else _decode_non_existence(body)


def encode_commitment_proof(proof: CommitmentProof) -> bytes:
    """`CommitmentProof` protobuf, as IBC tooling reads it."""
    if isinstance(proof, ExistenceProof):
        return message_field(1, _encode_existence(proof))
    neighbours = (
        b"" if leaf is None else message_field(number, _encode_existence(leaf))
        for number, leaf in ((2, proof.left), (3, proof.right))
    )
    return message_field(2, bytes_field(1, proof.key) + b"".join(neighbours))


def _encode_existence(proof: ExistenceProof) -> bytes:
    leaf = (
        varint_field(1, proof.leaf.hash)
        + varint_field(2, proof.leaf.prehash_key)
        + varint_field(3, proof.leaf.prehash_value)
        + varint_field(4, proof.leaf.length)
        + bytes_field(5, proof.leaf.prefix)
    )
    steps = (
        message_field(4, varint_field(1, step.hash) + bytes_field(2, step.prefix) + bytes_field(3, step.suffix))
        for step in proof.path
    )
    return bytes_field(1, proof.key) + bytes_field(2, proof.value) + message_field(3, leaf) + b"".join(steps)


def _decode_existence(data: bytes) -> ExistenceProof:
    fields = _by_number(data, {1, 2, 3, 4}, repeated=4)
    leaf = _by_number(_single(fields, 3, _bytes, b""), {1, 2, 3, 4, 5})
    operation = LeafOp(
        hash=_single(leaf, 1, _integer, 0),
        prehash_key=_single(leaf, 2, _integer, 0),
        prehash_value=_single(leaf, 3, _integer, 0),
        length=_single(leaf, 4, _integer, 0),
        prefix=_single(leaf, 5, _bytes, b""),
    )
    path = tuple(_decode_inner(_bytes(step)) for step in fields.get(4, ()))
    return ExistenceProof(_single(fields, 1, _bytes, b""), _single(fields, 2, _bytes, b""), operation, path)


def _decode_inner(data: bytes) -> InnerOp:
    fields = _by_number(data, {1, 2, 3})
    return InnerOp(_single(fields, 1, _integer, 0), _single(fields, 2, _bytes, b""), _single(fields, 3, _bytes, b""))


def _decode_non_existence(data: bytes) -> NonExistenceProof:
    fields = _by_number(data, {1, 2, 3})
    left, right = (_decode_existence(_bytes(fields[number][0])) if number in fields else None for number in (2, 3))
    return NonExistenceProof(_single(fields, 1, _bytes, b""), left, right)


def _by_number(data: bytes, known: set[int], repeated: int | None = None) -> dict[int, list[Field]]:
    grouped: dict[int, list[Field]] = {}
    for field in decode_fields(data):
        if field.number not in known or (field.number in grouped and field.number != repeated):
            raise MalformedProofError("ICS-23 proof has an unknown or doubled field", number=field.number)
        grouped.setdefault(field.number, []).append(field)
    return grouped


def _single(fields: dict[int, list[Field]], number: int, read: Callable[[Field], V], absent: V) -> V:
    return read(fields[number][0]) if number in fields else absent


def _bytes(field: Field) -> bytes:
    if not isinstance(field.value, bytes):
        raise MalformedProofError("ICS-23 field is not bytes", number=field.number)
    return field.value


def _integer(field: Field) -> int:
    if not isinstance(field.value, int):
        raise MalformedProofError("ICS-23 field is not an integer", number=field.number)
    return field.value
