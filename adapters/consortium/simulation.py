"""Would these messages succeed now? Judged on the newest state by the ledger's rules, message by message.

A forecast for planning, not a second ledger: messages of one transaction are judged each on its own, and what only
the chain can know is left to CheckTx.
"""

from typing import NoReturn

from adapters.consortium.rpc import CometRpc, parsed
from adapters.consortium.state import balance_of, read_account, read_count, read_leaf
from core.model.consortium import (
    CLOCK_KEY,
    AccessLeaf,
    AssetLeaf,
    Burn,
    Claim,
    Issue,
    Lock,
    LockLeaf,
    Message,
    RecordLeaf,
    Refund,
    ResultCode,
    Transfer,
    WriteRecord,
    access_versions,
    asset_key,
    lock_key,
    raw_address,
    record_key,
    sequence_count_key,
    sequence_key,
    value_of,
)
from core.model.errors import RejectedError, RevertedError
from core.model.types import AccountId, ChainId

MS_PER_S = 1_000


async def check_messages(rpc: CometRpc, chain: ChainId, sender: AccountId, messages: tuple[Message, ...]) -> None:
    """Raise `RevertedError` with the ledger's word, `RejectedError` for a message that reveals."""
    for message in messages:
        match message:
            case Claim():
                raise RejectedError("a transaction that reveals a preimage is never simulated")
            case Lock():
                await _check_lock(rpc, chain, sender, message)
            case Refund():
                await _check_refund(rpc, message)
            case Transfer() | Burn():
                await _require_funds(rpc, sender, message.asset, value_of(message.amount))
            case Issue():
                asset = await read_leaf(rpc, asset_key(message.asset), AssetLeaf)
                if asset is None:
                    _refuse(ResultCode.UNKNOWN_ASSET)
                if asset.issuer != raw_address(sender):
                    _refuse(ResultCode.NOT_ISSUER)
            case WriteRecord():
                if not await _may_write(rpc, raw_address(sender), message):
                    _refuse(ResultCode.NOT_OWNER)


async def _may_write(rpc: CometRpc, author: bytes, message: WriteRecord) -> bool:
    decisions = access_versions(message.namespace, message.key)
    decided = await read_count(rpc, sequence_count_key(decisions))
    if decided:
        access = await read_leaf(rpc, sequence_key(decisions, decided), AccessLeaf)
        return access is None or author == access.owner or author in access.writers
    first = await read_leaf(rpc, record_key(message.namespace, message.key, 1), RecordLeaf)
    return first is None or first.author == author


async def _check_lock(rpc: CometRpc, chain: ChainId, sender: AccountId, message: Lock) -> None:
    if message.timelock * MS_PER_S <= await _ledger_time_ms(rpc):
        _refuse(ResultCode.BAD_TIMELOCK)
    if await read_leaf(rpc, lock_key(raw_address(sender), message.hashlock), LockLeaf) is not None:
        _refuse(ResultCode.HASHLOCK_USED)
    await _require_funds(rpc, sender, message.asset, value_of(message.amount))


async def _check_refund(rpc: CometRpc, message: Refund) -> None:
    held = await read_leaf(rpc, lock_key(message.locker, message.hashlock), LockLeaf)
    if held is None:
        _refuse(ResultCode.UNKNOWN_LOCK)
    if held.status != "locked":
        _refuse(ResultCode.ALREADY_SETTLED)
    if await _ledger_time_ms(rpc) < held.timelock * MS_PER_S:
        _refuse(ResultCode.TOO_EARLY)


async def _require_funds(rpc: CometRpc, sender: AccountId, symbol: str, amount: int) -> None:
    if await read_leaf(rpc, asset_key(symbol), AssetLeaf) is None:
        _refuse(ResultCode.UNKNOWN_ASSET)
    if await _balance(rpc, sender, symbol) < amount:
        _refuse(ResultCode.INSUFFICIENT_FUNDS)


async def _balance(rpc: CometRpc, account: AccountId, symbol: str) -> int:
    leaf = await read_account(rpc, account)
    return parsed(lambda: balance_of(leaf, symbol))


async def _ledger_time_ms(rpc: CometRpc) -> int:
    return await read_count(rpc, CLOCK_KEY)


def _refuse(code: ResultCode) -> NoReturn:
    raise RevertedError(f"the ledger would refuse this: {code.word}", reason=code.word, code=int(code))
