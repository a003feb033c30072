"""Bank: several assets, each with one issuer; exact integers, supply always the sum of balances and open locks."""

from typing import Final

from core.model.consortium import (
    ASSETS,
    AssetCreated,
    AssetLeaf,
    AssetMoved,
    Burn,
    CreateAsset,
    Issue,
    ResultCode,
    Transfer,
    account_key,
    asset_key,
    quantity,
    value_of,
)
from core.model.types import MAX_BASE_UNITS
from local_chains.consortium.ledger.context import Context, positive_amount, refuse, require_address, require_name
from local_chains.consortium.ledger.leaves import read_asset, write
from local_chains.consortium.ledger.members import require_role
from local_chains.consortium.ledger.orders import require_free_sender
from local_chains.consortium.ledger.sequences import append, length
from local_chains.consortium.ledger.view import Overlay

MAX_ASSETS: Final = 256
"""An account is one leaf that holds them all."""
MAX_DECIMALS: Final = 36
NO_SUCH_ASSET: Final = "no such asset on this chain"


def create_asset(context: Context, message: CreateAsset) -> None:
    require_role(context, "issuer")
    require_name(message.symbol, "symbol")
    if not 0 <= message.decimals <= MAX_DECIMALS:
        refuse(ResultCode.BAD_AMOUNT, f"an asset has 0 to {MAX_DECIMALS} decimals")
    if read_asset(context.state, message.symbol) is not None:
        refuse(ResultCode.ASSET_EXISTS, "this symbol is another asset's already")
    if length(context.state, ASSETS) >= MAX_ASSETS:
        refuse(ResultCode.OVERFLOW, f"a chain has at most {MAX_ASSETS} assets")
    write_new_asset(context.state, message.symbol, AssetLeaf(context.sender, message.decimals, b""))
    context.events.append(AssetCreated(message.symbol, context.sender, message.decimals))


def write_new_asset(state: Overlay, symbol: str, asset: AssetLeaf) -> None:
    write(state, asset_key(symbol), asset)
    append(state, ASSETS, symbol.encode())


def issue(context: Context, message: Issue) -> None:
    require_address(message.receiver, "receiver")
    amount = positive_amount(message.amount)
    asset = _require_asset(context, message.asset)
    if asset.issuer != context.sender:
        refuse(ResultCode.NOT_ISSUER, f"only {asset.issuer.hex()} issues {message.asset}")
    require_free_sender(context)
    supply = value_of(asset.supply) + amount
    if supply > MAX_BASE_UNITS:
        refuse(ResultCode.OVERFLOW, f"the supply of {message.asset} would reach 2**256")
    _write_supply(context, message.asset, asset, supply)
    credit(context.state, message.receiver, message.asset, amount)
    context.events.append(AssetMoved(message.asset, b"", message.receiver, amount))


def transfer(context: Context, message: Transfer) -> None:
    require_address(message.receiver, "receiver")
    amount = positive_amount(message.amount)
    if context.state.get(asset_key(message.asset)) is None:
        refuse(ResultCode.UNKNOWN_ASSET, NO_SUCH_ASSET)
    require_free_sender(context)
    move(context, context.sender, message.receiver, message.asset, amount)


def burn(context: Context, message: Burn) -> None:
    amount = positive_amount(message.amount)
    asset = _require_asset(context, message.asset)
    require_free_sender(context)
    debit(context.state, context.sender, message.asset, amount)
    _write_supply(context, message.asset, asset, value_of(asset.supply) - amount)
    context.events.append(AssetMoved(message.asset, context.sender, b"", amount))


def move(context: Context, sender: bytes, receiver: bytes, symbol: str, amount: int) -> None:
    """Take from one balance, add to another, and say so. Refuses what the first does not cover."""
    debit(context.state, sender, symbol, amount)
    credit(context.state, receiver, symbol, amount)
    context.events.append(AssetMoved(symbol, sender, receiver, amount))


def debit(state: Overlay, address: bytes, symbol: str, amount: int) -> None:
    """Take from a balance. Refuses what it does not cover."""
    key = account_key(address)
    account = state.account(key)
    balance = account.balance(symbol)
    if balance < amount:
        refuse(ResultCode.INSUFFICIENT_FUNDS, f"the balance is {balance} {symbol}, {amount} are needed")
    state.put_account(key, account.with_balance(symbol, balance - amount))


def credit(state: Overlay, address: bytes, symbol: str, amount: int) -> None:
    """Add to a balance. Cannot overflow: no balance is above its asset's supply."""
    key = account_key(address)
    account = state.account(key)
    state.put_account(key, account.with_balance(symbol, account.balance(symbol) + amount))


def _require_asset(context: Context, symbol: str) -> AssetLeaf:
    asset = read_asset(context.state, symbol)
    if asset is None:
        refuse(ResultCode.UNKNOWN_ASSET, NO_SUCH_ASSET)
    return asset


def _write_supply(context: Context, symbol: str, asset: AssetLeaf, supply: int) -> None:
    write(context.state, asset_key(symbol), AssetLeaf(asset.issuer, asset.decimals, quantity(supply)))
