"""A payment that every kind of chain refuses before it is made."""

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, AccountId, AssetId, BaseUnits, ChainId, chain_of


def check_transfer(chain: ChainId, sender: AccountId, receiver: AccountId, asset: AssetId, amount: BaseUnits) -> None:
    """Raise `RejectedError` for accounts or an asset of another chain than this, and for a malformed amount."""
    if {chain_of(sender), chain_of(receiver), chain_of(asset)} != {chain}:
        raise RejectedError(f"{sender}, {receiver} and {asset} are not all of {chain}")
    if not 0 < amount <= MAX_BASE_UNITS:
        raise RejectedError(f"{amount} is not an amount to transfer: base units, 1 or more and below 2^256")
