"""State: leaves by key, at the newest or at an earlier height, with or without proof."""

from dataclasses import dataclass
from typing import Final, TypeVar

from adapters.consortium.rpc import CometRpc, bytes_of, count_of, parsed, text_of
from core.model.consortium import (
    PROOF_OP,
    AccountLeaf,
    Leaf,
    RecordLeaf,
    account_key,
    asset_symbol,
    caip_account,
    decode_leaf,
    raw_address,
    record_count_key,
    record_key,
    value_of,
)
from core.model.errors import NotFoundError, RejectedError, RetryableError
from core.model.facts import RecordView
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, Height, chain_of
from core.proofs.cometbft.json import integer_from_json, list_from_json, object_from_json

L = TypeVar("L", bound=Leaf)

STATE_PATH: Final = "/store"
NEWEST: Final = Height(0)
"""The value by which `abci_query` means the newest height."""
MAX_PROOF_OPS: Final = 4


@dataclass(frozen=True, slots=True)
class StateValue:
    """A leaf as of the state after the block at `height`; None if there is none. `proof` is empty if not asked."""

    value: bytes | None
    height: Height
    proof: bytes


async def query(rpc: CometRpc, key: bytes, at: Height | None = None, prove: bool = False) -> StateValue:
    """Ask for one key. Raise `NotFoundError` for a height that is pruned or not there yet."""
    answer = await rpc.call(
        "abci_query", path=STATE_PATH, data=key.hex(), height=str(NEWEST if at is None else at), prove=prove
    )
    response = parsed(lambda: object_from_json(answer.get("response")))
    code = parsed(lambda: integer_from_json(response.get("code") or 0))
    if code:
        raise NotFoundError(f"the state at height {at} cannot be read: {text_of(response.get('log'))}")
    found = parsed(
        lambda: StateValue(
            value=bytes_of(response.get("value")) or None,
            height=Height(integer_from_json(response.get("height"))),
            proof=_proof(response.get("proofOps")) if prove else b"",
        )
    )
    if at is not None and found.height != at:
        raise RetryableError(f"asked for the state at {at}, the endpoint answers with that at {found.height}")
    return found


def _proof(value: object) -> bytes:
    ops = list_from_json(object_from_json(value).get("ops"), MAX_PROOF_OPS)
    [op] = [object_from_json(op) for op in ops]
    if op.get("type") != PROOF_OP:
        raise RejectedError(f"a proof of type {op.get('type')} is not one of this ledger")
    return bytes_of(op.get("data"))


async def read_leaf(rpc: CometRpc, key: bytes, kind: type[L], at: Height | None = None) -> L | None:
    """The leaf, unproven, None if there is none."""
    raw = (await query(rpc, key, at)).value
    return None if raw is None else parsed(lambda: decode_leaf(raw, kind))


async def read_count(rpc: CometRpc, key: bytes, at: Height | None = None) -> int:
    """A counter of 8 big-endian bytes; 0 if there is none."""
    raw = (await query(rpc, key, at)).value
    return parsed(lambda: count_of(raw))


async def read_account(rpc: CometRpc, account: AccountId, at: Height | None = None) -> AccountLeaf:
    leaf = await read_leaf(rpc, account_key(raw_address(account)), AccountLeaf, at)
    if leaf is not None and leaf.sequence < 0:
        raise RetryableError(f"{rpc.origin} says that the next sequence of {account} is {leaf.sequence}")
    return leaf or AccountLeaf(0, ())


def balance_of(leaf: AccountLeaf, symbol: str) -> BaseUnits:
    return BaseUnits(value_of(dict(leaf.balances).get(symbol, b"")))


class ConsortiumStateReader:
    """`StateReader`."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain

    async def balance(self, account: AccountId, asset: AssetId, at: Height | None = None) -> BaseUnits:
        """Raise `NotFoundError` for a pruned height, `RejectedError` for another chain's account or asset."""
        if {chain_of(account), chain_of(asset)} != {self._chain}:
            raise RejectedError(f"{account} and {asset} are not both of {self._chain}")
        leaf = await read_account(self._rpc, account, at)
        return parsed(lambda: balance_of(leaf, asset_symbol(asset)))


class ConsortiumRecordReader:
    """`RecordReader`."""

    def __init__(self, rpc: CometRpc, chain: ChainId) -> None:
        self._rpc = rpc
        self._chain = chain

    async def record(self, namespace: str, key: str) -> RecordView | None:
        version = await read_count(self._rpc, record_count_key(namespace, key))
        if not version:
            return None
        leaf = await read_leaf(self._rpc, record_key(namespace, key, version), RecordLeaf)
        if leaf is None:
            raise RetryableError(f"version {version} of {namespace}/{key} is counted, but not there")
        found = leaf
        return parsed(
            lambda: RecordView(namespace, key, found.version, caip_account(self._chain, found.author), found.document)
        )
