"""Reading and writing leaves. The ledger wrote them itself, so a leaf that does not decode is fatal."""

from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args

import msgspec

from core.model.consortium import (
    AccessLeaf,
    AccountLeaf,
    AssetLeaf,
    EquivocationLeaf,
    HeaderLeaf,
    LockLeaf,
    QueryLeaf,
    RecordLeaf,
    account_key,
    asset_key,
    encode_leaf,
)
from core.model.consortium_members import AdmissionLeaf, Organisation, ProposalLeaf, ValidatorsLeaf
from core.model.consortium_orders import HeldLeaf, OrderLeaf
from core.model.errors import FatalError
from local_chains.consortium.ledger.accounts import Account, decode_account, decode_sequence
from local_chains.consortium.ledger.view import Overlay, StateView

OPERATORS_KEY = b"members/operators"
"""Who votes on foreign headers and on members, with their validators' power."""


class OperatorsLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Validator operators as (account address, consensus power), sorted by address."""

    powers: tuple[tuple[bytes, int], ...]


class VotesLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Votes on one foreign height that no header has won yet, as (operator, block hash, time), in order of arrival."""

    votes: tuple[tuple[bytes, bytes, int], ...]


class OpenVotesLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The (foreign chain, height) pairs that an operator has votes open on, oldest first."""

    heights: tuple[tuple[str, int], ...]


class OpenProposalsLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The numbers of an operator's proposals that were open when it last proposed, oldest first."""

    proposals: tuple[int, ...]


class PreparedLeaf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The numbers of an officer's orders that waited for a second one when that was last looked at, oldest first."""

    orders: tuple[int, ...]


OwnLeaf = OperatorsLeaf | VotesLeaf | OpenVotesLeaf | OpenProposalsLeaf | PreparedLeaf
AnyLeaf = (
    AccountLeaf
    | AssetLeaf
    | LockLeaf
    | RecordLeaf
    | AccessLeaf
    | EquivocationLeaf
    | HeaderLeaf
    | QueryLeaf
    | Organisation
    | ProposalLeaf
    | ValidatorsLeaf
    | AdmissionLeaf
    | OrderLeaf
    | HeldLeaf
    | OwnLeaf
)
L = TypeVar("L", bound=AnyLeaf)

_encode_own = msgspec.msgpack.Encoder().encode


def votes_key(chain: str, height: int) -> bytes:
    return f"bridge/votes/{chain}/{height}".encode()


def open_votes_key(operator: bytes) -> bytes:
    return b"bridge/open/" + operator


def open_proposals_key(operator: bytes) -> bytes:
    return b"members/open/" + operator


def prepared_key(officer: bytes) -> bytes:
    return b"supervision/prepared/" + officer


_DECODE: Final[dict[Any, Callable[[bytes], Any]]] = {
    kind: msgspec.msgpack.Decoder(kind).decode for kind in get_args(AnyLeaf)
}


def read(state: StateView, key: bytes, kind: type[L]) -> L | None:
    """The leaf at `key`, None if there is none. Raise `FatalError` if it is not of that kind."""
    raw = state.get(key)
    if raw is None:
        return None
    try:
        leaf: L = _DECODE[kind](raw)
    except msgspec.MsgspecError as error:
        raise FatalError(f"the leaf at {key!r} is damaged: restore the chain's home from a backup") from error
    return leaf


def write(state: Overlay, key: bytes, leaf: AnyLeaf) -> None:
    if isinstance(leaf, OwnLeaf):
        state.put(key, _encode_own(leaf))
    else:
        state.put(key, encode_leaf(leaf))


def read_count(state: StateView, key: bytes) -> int:
    """A counter of 8 big-endian bytes; 0 if there is none."""
    return int.from_bytes(state.get(key) or b"", "big")


def write_count(state: Overlay, key: bytes, value: int) -> None:
    state.put(key, value.to_bytes(8, "big"))


def read_operators(state: StateView) -> dict[bytes, int]:
    """The consensus power behind each operator's account."""
    leaf = read(state, OPERATORS_KEY, OperatorsLeaf)
    return {} if leaf is None else dict(leaf.powers)


def read_account(state: StateView, address: bytes) -> Account:
    key = account_key(address)
    return state.account(key) if type(state) is Overlay else decode_account(state.get(key))


def next_sequence(state: StateView, address: bytes) -> int:
    """The sequence of an account's next transaction, in a committed state."""
    return decode_sequence(state.get(account_key(address)))


def read_asset(state: StateView, symbol: str) -> AssetLeaf | None:
    return read(state, asset_key(symbol), AssetLeaf)
