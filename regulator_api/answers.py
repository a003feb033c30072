"""Rows as the documents that leave (`regulator_api.bodies`). Pure.

Amounts are integer strings of base units with their decimals next to them, times are Unix seconds, hashes hex
(with `0x` on EVM chains). Every document says as of which block of which chain it holds, and what of it is final.
"""

from collections.abc import Mapping
from typing import Literal

from core.model.facts import BlockHeader
from core.model.types import Asset, AssetId, ChainId, Height, LockTerms
from indexer.projections.assets import AssetRow
from indexer.projections.conservation import Conservation, Sum
from indexer.projections.contracts import ContractRow
from indexer.projections.locks import LockRow, Placed
from indexer.projections.swaps import Candidate, JoinedSwap
from indexer.projections.transfers import TransferRow
from indexer.store import ChainRow
from regulator_api.audit import AuditEntry
from regulator_api.bodies import (
    AmountView,
    AsOfView,
    AssetView,
    AuditEntryView,
    BlockView,
    CandidateView,
    ChainView,
    ConservationAnswer,
    ContractView,
    LegAnswer,
    LockView,
    PlacedView,
    SumView,
    SwapAnswer,
    TermsView,
    TransferView,
)

Assets = Mapping[AssetId, Asset]
FinalHeights = Mapping[ChainId, Height]
"""By chain, the newest height that is final; chains without one are left out."""


def hex_of(chain: str, raw: bytes) -> str:
    """A hash as its chain's own tools write it."""
    return f"0x{raw.hex()}" if chain.startswith("eip155:") else raw.hex()


def block_view(header: BlockHeader | None) -> BlockView | None:
    if header is None:
        return None
    return BlockView(height=header.height, hash=hex_of(header.chain, header.ref.hash), time_s=header.time.seconds)


def as_of_view(row: ChainRow) -> AsOfView:
    return AsOfView(chain=row.chain, block=block_view(row.tip), finalized=block_view(row.finalized))


def amount_view(asset: AssetId, amount: int, assets: Assets) -> AmountView:
    known = assets.get(asset)
    return AmountView(
        asset=asset,
        base_units=str(amount),
        decimals=known.decimals if known else None,
        symbol=known.symbol if known else None,
    )


def chain_view(row: ChainRow, now_s: float, stale_after_s: float) -> ChainView:
    stale = row.observed_ns is not None and now_s - row.observed_ns / 1e9 > stale_after_s
    lag = None
    if row.head_height is not None:
        lag = max(0, row.head_height - (row.tip.height if row.tip else row.start - 1))
    state = "stale" if stale else row.state
    return ChainView(
        chain=row.chain,
        genesis_hash=hex_of(row.chain, row.genesis_hash),
        state=state,
        detail=row.detail,
        head_height=row.head_height,
        observed_s=None if row.observed_ns is None else row.observed_ns // 10**9,
        indexed=block_view(row.tip),
        finalized=block_view(row.finalized),
        lag_blocks=lag,
        lag_s=None if row.tip is None else max(0, int(now_s) - row.tip.time.seconds),
        alarms=row.alarms,
        set_aside=row.set_aside,
        ready=state == "live" and not row.alarms,
    )


def _terms_view(terms: LockTerms, assets: Assets) -> TermsView:
    return TermsView(
        chain=terms.chain,
        amount=amount_view(terms.asset, terms.amount, assets),
        sender=terms.sender,
        receiver=terms.receiver,
        timelock_s=terms.timelock.seconds,
    )


def placed_view(chain: ChainId, placed: Placed, final: FinalHeights) -> PlacedView:
    return PlacedView(
        tx_hash=hex_of(chain, placed.tx_hash),
        block=BlockView(height=placed.height, hash=hex_of(chain, placed.block_hash), time_s=placed.time_s),
        final=placed.height <= final.get(chain, -1),
    )


def lock_view(lock: LockRow, assets: Assets, final: FinalHeights) -> LockView:
    return LockView(
        lock_id=lock.lock_id,
        terms=_terms_view(lock.terms, assets),
        status=lock.status.value,
        locked=placed_view(lock.chain, lock.locked, final),
        settled=None if lock.settled is None else placed_view(lock.chain, lock.settled, final),
        preimage=None if lock.preimage is None else lock.preimage.hex(),
    )


def _leg_view(agreed: LockTerms, lock: LockRow | None, assets: Assets, final: FinalHeights) -> LegAnswer:
    return LegAnswer(agreed=_terms_view(agreed, assets), lock=None if lock is None else lock_view(lock, assets, final))


def _candidate_view(pair: Candidate) -> CandidateView:
    return CandidateView(
        initiator_lock=pair.initiator.lock_id,
        initiator_chain=pair.initiator.chain,
        participant_lock=pair.participant.lock_id,
        participant_chain=pair.participant.chain,
        score=pair.score,
        reasons=list(pair.reasons),
    )


def swap_answer(swap: JoinedSwap, assets: Assets, final: FinalHeights) -> SwapAnswer:
    """`final` of a swap: everything that makes up its status is."""
    legs = [leg for leg in (swap.initiator, swap.participant) if leg is not None]
    newest = [(leg.settled or leg.locked, leg.chain) for leg in legs]
    agreed = swap.agreed
    return SwapAnswer(
        id=swap.swap_id,
        hashlock=swap.hashlock.hex(),
        status=swap.status.value,
        final=bool(newest) and all(placed.height <= final.get(chain, -1) for placed, chain in newest),
        opened_s=swap.opened_s,
        agreed_source=agreed.source if agreed else None,
        initiator=_leg_view(agreed.initiator, swap.initiator, assets, final) if agreed else None,
        participant=_leg_view(agreed.participant, swap.participant, assets, final) if agreed else None,
        others=[lock_view(lock, assets, final) for lock in swap.others],
        candidates=[_candidate_view(pair) for pair in swap.candidates],
    )


def transfer_view(row: TransferRow, assets: Assets, final: FinalHeights) -> TransferView:
    chain = row.block.chain
    placed = Placed(row.tx_hash, row.block.hash, row.block.height, row.index, row.time_s)
    return TransferView(
        chain=chain,
        amount=amount_view(row.asset, row.amount, assets),
        sender=row.sender,
        receiver=row.receiver,
        placed=placed_view(chain, placed, final),
        index=row.index,
    )


def asset_view(row: AssetRow) -> AssetView:
    return AssetView(
        asset=row.asset,
        chain=row.chain,
        symbol=row.symbol,
        name=row.name,
        decimals=row.decimals,
        source=None if row.source is None else row.source.value,
        issuer=row.issuer,
        first_height=row.first_height,
    )


def contract_view(row: ContractRow) -> ContractView:
    return ContractView(
        contract=row.contract,
        chain=row.chain,
        kind=row.kind.value,
        name=row.name,
        first_height=row.first_height,
        last_height=row.last_height,
        events=row.events,
    )


def _sum_view(total: Sum) -> SumView:
    return SumView(count=total.count, base_units=str(total.amount))


def conservation_answer(
    sums: Conservation,
    asset: Asset | None,
    holder: str | None,
    finality: Literal["finalized", "latest"],
    as_of: BlockHeader,
    notes: list[str],
) -> ConservationAnswer:
    if sums.unmatched:
        notes = [*notes, "unmatched-settlements"]
    return ConservationAnswer(
        asset=sums.asset,
        chain=as_of.chain,
        symbol=asset.symbol if asset else None,
        decimals=asset.decimals if asset else None,
        ok=sums.ok,
        locked=_sum_view(sums.locked),
        claimed=_sum_view(sums.claimed),
        refunded=_sum_view(sums.refunded),
        open=_sum_view(sums.open),
        holder=holder,
        holder_balance=None if sums.holder_balance is None else str(sums.holder_balance),
        unmatched_settlements=sums.unmatched,
        finality=finality,
        as_of=BlockView(height=as_of.height, hash=hex_of(as_of.chain, as_of.ref.hash), time_s=as_of.time.seconds),
        notes=notes,
    )


def audit_view(entry: AuditEntry) -> AuditEntryView:
    access = entry.access
    return AuditEntryView(
        seq=entry.seq,
        time_ns=str(access.time_ns),
        who=access.who,
        method=access.method,
        what=access.what,
        purpose=access.purpose,
        case=access.case_id,
        request_id=access.request_id,
        status=access.status,
        answer_sha256=access.answer_sha256.hex(),
        hash=entry.hash.hex(),
        signature=None if entry.signature is None else entry.signature.hex(),
    )
