"""ABCI 2.0 requests and responses as bytes (CometBFT v0.38 to v0.40, `proto/tendermint/abci/types.proto`).

Requests are decoded by a table of fields; what the ledger has no use for (votes, consensus parameters) is
skipped, and so are fields that a later version may add.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from core.proofs.cometbft.types import Timestamp
from core.proofs.errors import MalformedProofError
from core.proofs.protobuf import (
    WIRE_BYTES,
    bytes_field,
    message_field,
    varint,
    varint_field,
)
from local_chains.consortium.engine.abci.wire import Fields, Kind, decode, field_at
from local_chains.consortium.engine.queries import QueryAnswer
from local_chains.consortium.engine.rendering import CODESPACE
from local_chains.consortium.ledger.misbehaviour import Misbehaviour
from local_chains.consortium.state.snapshots import Snapshot

NS_PER_MS: Final = 1_000_000
ZERO_TIME: Final = Timestamp(0, 0)

# --- requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Echo:
    message: bytes = b""


@dataclass(frozen=True, slots=True)
class Flush:
    pass


@dataclass(frozen=True, slots=True)
class Info:
    pass


@dataclass(frozen=True, slots=True)
class InitChain:
    """The genesis file, as the node read it."""

    time: Timestamp = ZERO_TIME
    chain_id: str = ""
    app_state: bytes = b""
    initial_height: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    data: bytes = b""
    path: str = ""
    height: int = 0
    prove: int = 0


@dataclass(frozen=True, slots=True)
class CheckTx:
    """`kind` is 0 for a new transaction, 1 for one that waits and is checked again after a block."""

    tx: bytes = b""
    kind: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    pass


@dataclass(frozen=True, slots=True)
class ListSnapshots:
    pass


@dataclass(frozen=True, slots=True)
class OfferSnapshot:
    """`snapshot` is what a peer said, for `decode_snapshot`; `app_hash` the node's light client has verified."""

    snapshot: bytes = b""
    app_hash: bytes = b""


@dataclass(frozen=True, slots=True)
class LoadSnapshotChunk:
    height: int = 0
    format: int = 0
    chunk: int = 0


@dataclass(frozen=True, slots=True)
class ApplySnapshotChunk:
    """`sender` is the id of the peer that the chunk came from."""

    index: int = 0
    chunk: bytes = b""
    sender: str = ""


@dataclass(frozen=True, slots=True)
class PrepareProposal:
    max_tx_bytes: int = 0
    txs: tuple[bytes, ...] = ()
    height: int = 0


@dataclass(frozen=True, slots=True)
class ProcessProposal:
    """`hash` is the proposed block's."""

    txs: tuple[bytes, ...] = ()
    hash: bytes = b""
    height: int = 0


@dataclass(frozen=True, slots=True)
class ExtendVote:
    pass


@dataclass(frozen=True, slots=True)
class VerifyVoteExtension:
    vote_extension: bytes = b""


@dataclass(frozen=True, slots=True)
class FinalizeBlock:
    """`hash` is the decided block's; `misbehavior` is what it reports of validators, for `decode_misbehaviour`."""

    txs: tuple[bytes, ...] = ()
    misbehavior: tuple[bytes, ...] = ()
    hash: bytes = b""
    height: int = 0


Request = (
    Echo
    | Flush
    | Info
    | InitChain
    | Query
    | CheckTx
    | Commit
    | ListSnapshots
    | OfferSnapshot
    | LoadSnapshotChunk
    | ApplySnapshotChunk
    | PrepareProposal
    | ProcessProposal
    | ExtendVote
    | VerifyVoteExtension
    | FinalizeBlock
)


_BLOCK: Final[Fields] = {1: ("txs", Kind.LIST), 4: ("hash", Kind.BYTES), 5: ("height", Kind.INTEGER)}
_SNAPSHOT: Final[Fields] = {
    1: ("height", Kind.INTEGER),
    2: ("format", Kind.INTEGER),
    3: ("chunks", Kind.INTEGER),
    4: ("hash", Kind.BYTES),
    5: ("metadata", Kind.BYTES),
}
_VALIDATOR: Final[Fields] = {1: ("address", Kind.BYTES), 3: ("power", Kind.INTEGER)}
_MISBEHAVIOR: Final[Fields] = {
    1: ("kind", Kind.INTEGER),
    2: ("validator", Kind.BYTES),
    3: ("height", Kind.INTEGER),
    4: ("time", Kind.TIME),
    5: ("total", Kind.INTEGER),
}

_REQUESTS: Final[Mapping[int, tuple[Callable[..., Request], Fields]]] = {
    1: (Echo, {1: ("message", Kind.BYTES)}),
    2: (Flush, {}),
    3: (Info, {}),
    5: (
        InitChain,
        {
            1: ("time", Kind.TIME),
            2: ("chain_id", Kind.TEXT),
            5: ("app_state", Kind.BYTES),
            6: ("initial_height", Kind.INTEGER),
        },
    ),
    6: (
        Query,
        {
            1: ("data", Kind.BYTES),
            2: ("path", Kind.TEXT),
            3: ("height", Kind.INTEGER),
            4: ("prove", Kind.INTEGER),
        },
    ),
    8: (CheckTx, {1: ("tx", Kind.BYTES), 2: ("kind", Kind.INTEGER)}),
    11: (Commit, {}),
    12: (ListSnapshots, {}),
    13: (OfferSnapshot, {1: ("snapshot", Kind.BYTES), 2: ("app_hash", Kind.BYTES)}),
    14: (
        LoadSnapshotChunk,
        {1: ("height", Kind.INTEGER), 2: ("format", Kind.INTEGER), 3: ("chunk", Kind.INTEGER)},
    ),
    15: (
        ApplySnapshotChunk,
        {1: ("index", Kind.INTEGER), 2: ("chunk", Kind.BYTES), 3: ("sender", Kind.TEXT)},
    ),
    16: (
        PrepareProposal,
        {1: ("max_tx_bytes", Kind.INTEGER), 2: ("txs", Kind.LIST), 5: ("height", Kind.INTEGER)},
    ),
    17: (ProcessProposal, _BLOCK),
    18: (ExtendVote, {}),
    19: (VerifyVoteExtension, {4: ("vote_extension", Kind.BYTES)}),
    20: (FinalizeBlock, {**_BLOCK, 3: ("misbehavior", Kind.LIST)}),
}


def decode_request(raw: bytes) -> Request:
    """Read whatever a node may send: a block may have as many entries as fit in it. The work grows with the bytes only.

    Raise `MalformedProofError` if it is not a request of ABCI 2.0.
    """
    number, wire, body, end = field_at(raw, 0)
    if number not in _REQUESTS or wire != WIRE_BYTES or end != len(raw):
        raise MalformedProofError("not a request of ABCI 2.0")
    make, fields = _REQUESTS[number]
    return make(**decode(body, fields))


def decode_snapshot(raw: bytes) -> Snapshot:
    """The Snapshot in a RequestOfferSnapshot. Raise `MalformedProofError`."""
    nothing: dict[str, Any] = {"height": 0, "format": 0, "chunks": 0, "hash": b"", "metadata": b""}
    return Snapshot(**nothing | decode(raw, _SNAPSHOT))


def decode_misbehaviour(raw: bytes) -> Misbehaviour:
    """One piece of a RequestFinalizeBlock's misbehaviour. Raise `MalformedProofError`."""
    fields = decode(raw, _MISBEHAVIOR)
    validator = decode(fields.get("validator", b""), _VALIDATOR)
    moment = fields.get("time", ZERO_TIME)
    return Misbehaviour(
        kind=fields.get("kind", 0),
        validator=validator.get("address", b""),
        power=validator.get("power", 0),
        height=fields.get("height", 0),
        time_ms=moment.to_nanos() // NS_PER_MS,
        total=fields.get("total", 0),
    )


# --- responses ---------------------------------------------------------------------------------------------------


class Verdict(IntEnum):
    """ProposalStatus and VerifyStatus."""

    ACCEPT = 1
    REJECT = 2


class OfferVerdict(IntEnum):
    """ResponseOfferSnapshot.Result, as far as we use it."""

    ACCEPT = 1
    ABORT = 2
    REJECT = 3
    REJECT_FORMAT = 4


class ChunkVerdict(IntEnum):
    """ResponseApplySnapshotChunk.Result, as far as we use it."""

    ACCEPT = 1
    RETRY = 3
    RETRY_SNAPSHOT = 4
    REJECT_SNAPSHOT = 5


def exception(sentence: str) -> bytes:
    """Stops the node: its application cannot go on."""
    return message_field(1, bytes_field(1, sentence.encode()))


def echo(message: bytes) -> bytes:
    return message_field(2, bytes_field(1, message))


def flush() -> bytes:
    return message_field(3, b"")


def info(name: str, version: str, app_version: int, height: int, app_hash: bytes) -> bytes:
    return message_field(
        4,
        bytes_field(1, name.encode())
        + bytes_field(2, version.encode())
        + varint_field(3, app_version)
        + varint_field(4, height)
        + bytes_field(5, app_hash),
    )


def init_chain(app_hash: bytes) -> bytes:
    """Validators and parameters stay those of the genesis file."""
    return message_field(6, bytes_field(3, app_hash))


def query(answer: QueryAnswer) -> bytes:
    ops = b""
    if answer.op is not None:
        kind, data = answer.op
        op = bytes_field(1, kind.encode()) + bytes_field(2, answer.key) + bytes_field(3, data)
        ops = message_field(8, message_field(1, op))
    return message_field(
        7,
        varint_field(1, answer.code)
        + bytes_field(3, answer.log.encode())
        + bytes_field(6, answer.key)
        + bytes_field(7, answer.leaf or b"")
        + ops
        + varint_field(9, answer.height)
        + bytes_field(10, CODESPACE.encode() if answer.code else b""),
    )


def commit(retain_height: int = 0) -> bytes:
    return message_field(12, varint_field(3, retain_height))


def list_snapshots(snapshots: Sequence[Snapshot]) -> bytes:
    return message_field(13, b"".join(message_field(1, encode_snapshot(snapshot)) for snapshot in snapshots))


def encode_snapshot(snapshot: Snapshot) -> bytes:
    return (
        varint_field(1, snapshot.height)
        + varint_field(2, snapshot.format)
        + varint_field(3, snapshot.chunks)
        + bytes_field(4, snapshot.hash)
        + bytes_field(5, snapshot.metadata)
    )


def offer_snapshot(verdict: OfferVerdict) -> bytes:
    return message_field(14, varint_field(1, verdict))


def load_snapshot_chunk(chunk: bytes) -> bytes:
    return message_field(15, bytes_field(1, chunk))


def apply_snapshot_chunk(verdict: ChunkVerdict, refetch: int | None = None, sender: str = "") -> bytes:
    """`refetch` asks for that chunk once more, of anybody but `sender`."""
    again = b"" if refetch is None else bytes_field(2, varint(refetch))
    return message_field(16, varint_field(1, verdict) + again + bytes_field(3, sender.encode()))


def prepare_proposal(entries: Sequence[bytes]) -> bytes:
    return message_field(17, b"".join(message_field(1, entry) for entry in entries))


def process_proposal(verdict: Verdict) -> bytes:
    return message_field(18, varint_field(1, verdict))


def extend_vote() -> bytes:
    return message_field(19, b"")


def verify_vote_extension(verdict: Verdict) -> bytes:
    return message_field(20, varint_field(1, verdict))
