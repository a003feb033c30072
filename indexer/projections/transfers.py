"""Transfers of the canonical chains. A view over events: nothing of its own is stored."""

from dataclasses import dataclass

from core.model.types import AccountId, AssetId, BaseUnits, BlockRef


@dataclass(frozen=True, slots=True)
class TransferRow:
    """Value that moved. An issue has no sender, a burn no receiver. `time_s` is the block's, in Unix seconds."""

    block: BlockRef
    time_s: int
    tx_hash: bytes
    index: int
    asset: AssetId
    sender: AccountId | None
    receiver: AccountId | None
    amount: BaseUnits
