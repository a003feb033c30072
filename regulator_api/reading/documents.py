"""Rows as the documents of reading. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from core.model.facts import LockStatus
from core.model.types import AccountId
from indexer.moves import Direction, Move, MoveKind
from indexer.projections.locks import LockRow, Placed
from indexer.projections.records import RecordRow
from indexer.projections.swaps import JoinedSwap
from regulator_api.knowledge.tags import Labels
from regulator_api.reading.bodies import (
    AccountMoveView,
    AccountTagView,
    BalanceView,
    MoveName,
    PartnerView,
    RecordView,
    SwapStepView,
)
from regulator_api.reading.common import Frame
from regulator_api.reading.figures import Counterparty
from regulator_api.view.accounts import Balance

Leg = Literal["initiator", "participant", "other"]
_KINDS: Final[Mapping[MoveKind, MoveName]] = {
    MoveKind.TRANSFER: "transfer",
    MoveKind.LOCK: "lock",
    MoveKind.CLAIM: "claim",
    MoveKind.REFUND: "refund",
    MoveKind.COVERED: "covered",
}


def tag_views(labels: Labels, account: AccountId, at_s: int) -> list[AccountTagView]:
    """The tags of an account that are valid at a moment, the most certain first."""
    return [
        AccountTagView(
            label=tag.label,
            category=tag.category,
            source=tag.source,
            confidence=tag.confidence,
            list=tag.source_list,
            version=tag.source_version,
        )
        for tag in labels.tags(account, at_s)
    ]


def move_view(move: Move, block_hash: bytes, frame: Frame) -> AccountMoveView:
    key = move.key
    return AccountMoveView(
        direction="out" if key.direction is Direction.OUT else "in",
        kind=_KINDS[move.kind],
        other=move.other,
        amount=frame.amount(move.asset, move.amount),
        placed=frame.placed(key.chain, Placed(move.tx_hash, block_hash, key.height, key.event_index, key.time_s)),
        index=key.event_index,
    )


def partner_view(partner: Counterparty, labels: Labels, at_s: int, frame: Frame) -> PartnerView:
    other = partner.account
    return PartnerView(
        account=other,
        entity=None if other is None else labels.entity_of(other),
        categories=[] if other is None else sorted(labels.categories(other, at_s)),
        amount_received=frame.amount(partner.asset, partner.received_amount),
        amount_sent=frame.amount(partner.asset, partner.sent_amount),
        received=partner.received,
        sent=partner.sent,
        first_s=partner.first_s,
        last_s=partner.last_s,
    )


def balance_view(balance: Balance, frame: Frame) -> BalanceView:
    return BalanceView(amount=frame.amount(balance.asset, balance.amount), exact="/slip44:" not in balance.asset)


def step_views(swap: JoinedSwap, frame: Frame) -> list[SwapStepView]:
    """Every step of a swap's locks on one axis of time. Clocks of chains differ by seconds: so may the order."""
    legs: list[tuple[Leg, LockRow | None]] = [("initiator", swap.initiator), ("participant", swap.participant)]
    steps = [step for leg, lock in legs if lock is not None for step in _steps(leg, lock, frame)]
    steps += [step for lock in swap.others for step in _steps("other", lock, frame)]
    return sorted(steps, key=lambda step: (step.time_s, step.chain, step.leg, step.what))


def _steps(leg: Leg, lock: LockRow, frame: Frame) -> Sequence[SwapStepView]:
    made = SwapStepView(
        time_s=lock.locked.time_s,
        chain=lock.chain,
        leg=leg,
        what="locked",
        placed=frame.placed(lock.chain, lock.locked),
    )
    if lock.settled is None:
        until = lock.terms.timelock.seconds
        return [made, SwapStepView(time_s=until, chain=lock.chain, leg=leg, what="refundable", placed=None)]
    return [
        made,
        SwapStepView(
            time_s=lock.settled.time_s,
            chain=lock.chain,
            leg=leg,
            what="claimed" if lock.status is LockStatus.CLAIMED else "refunded",
            placed=frame.placed(lock.chain, lock.settled),
        ),
    ]


def record_view(row: RecordRow, frame: Frame) -> RecordView:
    placed = Placed(row.tx_hash, row.block.hash, row.block.height, row.index, row.time_s)
    return RecordView(
        chain=row.chain,
        namespace=row.namespace,
        key=row.key,
        version=row.version,
        author=row.author,
        digest=row.digest.hex(),
        placed=frame.placed(row.chain, placed),
    )
