"""Between the wire and the house: every untrusted string is parsed here, and every refusal names its field.

`…_body` writes, `…_from` reads and raises `RejectedError`.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from core.model.amounts import parse_base_units
from core.model.errors import RejectedError
from core.model.facts import BlockHeader, HeadUpdate
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.openings import MAX_PROOF_BYTES
from core.model.ports import ChainParameters, ChainTiming
from core.model.types import (
    Asset,
    AssetId,
    ChainId,
    ChainTime,
    Hashlock,
    LockTerms,
    Seconds,
    chain_of,
)
from htlc.model import Sighting
from relayer.api import expected
from relayer.api.bodies import (
    AssetBody,
    BlockBody,
    ChainBody,
    ExposureBody,
    ExposureLimitsBody,
    GivenQuote,
    GivenTerms,
    LegBody,
    LimitsBody,
    PairBody,
    PauseBody,
    PlaceBody,
    QuoteBody,
    RateBody,
    SwapBody,
    TermsBody,
    TimingBody,
)
from relayer.provider.desk import LegView, SwapView
from relayer.provider.quoting import Pair, Quote, Rate
from relayer.switches import Switch

if TYPE_CHECKING:
    from relayer.provider.exposures import Exposure

_HEX = re.compile(r"0x([0-9a-f]{2})*")


def hex_of(raw: bytes) -> str:
    return "0x" + raw.hex()


def bytes_from(text: str, length: int, field: str) -> bytes:
    """Raise `RejectedError` unless it is 0x and exactly `length` bytes of lower-case hex."""
    if len(text) != 2 + 2 * length or not _HEX.fullmatch(text):
        raise RejectedError(f"{field} must be 0x and {2 * length} lower-case hex digits", field=field)
    return bytes.fromhex(text[2:])


def proof_from(text: str | None) -> bytes | None:
    """Raise `RejectedError` unless it is 0x and lower-case hex of 1 to `MAX_PROOF_BYTES` bytes."""
    if text is None:
        return None
    if not 4 <= len(text) <= 2 + 2 * MAX_PROOF_BYTES or not _HEX.fullmatch(text):
        raise RejectedError(f"proof must be 0x and lower-case hex of 1 to {MAX_PROOF_BYTES} bytes", field="proof")
    return bytes.fromhex(text[2:])


# --- chains ------------------------------------------------------------------------------------------------------


def asset_body(asset: Asset) -> AssetBody:
    return AssetBody(id=asset.id, symbol=asset.symbol, decimals=asset.decimals)


def block_body(header: BlockHeader) -> BlockBody:
    return BlockBody(height=header.height, hash=hex_of(header.ref.hash), time=header.time.seconds)


def timing_body(timing: ChainTiming) -> TimingBody:
    return TimingBody(
        block_time_s=timing.block_time_s,
        inclusion_s=timing.inclusion_s,
        finality_s=timing.finality_s,
        observation_s=timing.observation_s,
        lead_s=timing.lead_s,
        lag_s=timing.lag_s,
    )


def chain_body(parameters: ChainParameters, update: HeadUpdate | None, now_s: float) -> ChainBody:
    """`update` None: the chain does not answer."""
    return ChainBody(
        id=parameters.chain,
        genesis_hash=hex_of(parameters.genesis_hash),
        reachable=update is not None,
        head=None if update is None else block_body(update.head),
        finalized=None if update is None else block_body(update.finalized),
        lag_s=None if update is None else max(0, int(now_s) - update.head.time.seconds),
        timing=timing_body(parameters.timing),
        htlc_holder=parameters.htlc_holder,
        htlc_code_hash=hex_of(parameters.htlc_code_hash),
        assets=tuple(asset_body(asset) for asset in parameters.assets.values()),
    )


# --- pairs and quotes --------------------------------------------------------------------------------------------


def rate_body(rate: Rate) -> RateBody:
    return RateBody(numerator=str(rate.numerator), denominator=str(rate.denominator))


def pair_hash(pair: Pair) -> bytes:
    """SHA-256 over the pair's assets, rate, limits and (unless it is 0) fee, as a JSON list of strings."""
    values = [
        pair.initiator_asset,
        pair.participant_asset,
        str(pair.rate.numerator),
        str(pair.rate.denominator),
        str(pair.minimum),
        str(pair.maximum),
        *([str(pair.fee)] if pair.fee else []),
    ]
    return hashlib.sha256(msgspec.json.encode(values)).digest()


def pair_body(pair: Pair, initiator: Asset, participant: Asset, paused: Switch | None = None) -> PairBody:
    return PairBody(
        id=pair.id,
        hash=hex_of(pair_hash(pair)),
        initiator_chain=pair.initiator_chain,
        initiator=asset_body(initiator),
        participant_chain=pair.participant_chain,
        participant=asset_body(participant),
        rate=rate_body(pair.rate),
        limits=LimitsBody(minimum=str(pair.minimum), maximum=str(pair.maximum)),
        fee=str(pair.fee),
        pause=None if paused is None else pause_body(paused),
    )


def exposure_body(exposure: "Exposure", asset: Asset) -> ExposureBody:
    standing, limit = exposure.standing, exposure.limit
    return ExposureBody(
        chain=chain_of(asset.id),
        asset=asset_body(asset),
        promised=str(standing.total),
        locked=str(standing.locked),
        swaps=standing.swaps,
        limits=None
        if limit is None
        else ExposureLimitsBody(
            total=str(limit.total),
            per_counterparty=str(limit.per_counterparty),
            per_window=str(limit.per_window),
            window_s=exposure.window_s,
        ),
        left=None if limit is None else str(max(0, limit.total - standing.total)),
    )


def pause_body(paused: Switch) -> PauseBody:
    until = paused.until_s if paused.cause.by_operator else None
    return PauseBody(cause=paused.cause, reason=paused.sentence, until=until)


def quote_body(quote: Quote) -> QuoteBody:
    return QuoteBody(
        id=quote.id,
        initiator_asset=quote.initiator_asset,
        initiator_amount=str(quote.initiator_amount),
        participant_asset=quote.participant_asset,
        participant_amount=str(quote.participant_amount),
        rate=rate_body(quote.rate),
        participant_receiver=quote.participant_receiver,
        participant_sender=quote.participant_sender,
        initiator_lock_s=quote.initiator_lock_s,
        participant_lock_s=quote.participant_lock_s,
        issued_at=quote.issued_at,
        expires_at=quote.expires_at,
        key=hex_of(quote.key),
        signature=hex_of(quote.signature),
    )


def quote_from(body: GivenQuote) -> Quote:
    """The quote as it was signed; whether its signature holds, `relayer.provider.quoting.verify_quote` says."""
    return Quote(
        id=body.id,
        initiator_asset=parse_asset(body.initiator_asset),
        initiator_amount=parse_base_units(body.initiator_amount, "initiator_amount"),
        participant_asset=parse_asset(body.participant_asset),
        participant_amount=parse_base_units(body.participant_amount, "participant_amount"),
        rate=Rate(
            parse_base_units(body.rate.numerator, "rate.numerator"),
            parse_base_units(body.rate.denominator, "rate.denominator"),
        ),
        participant_receiver=parse_account(body.participant_receiver),
        participant_sender=parse_account(body.participant_sender),
        initiator_lock_s=Seconds(body.initiator_lock_s),
        participant_lock_s=Seconds(body.participant_lock_s),
        issued_at=body.issued_at,
        expires_at=body.expires_at,
        key=bytes_from(body.key, 32, "key"),
        signature=bytes_from(body.signature, 64, "signature"),
    )


# --- swaps -------------------------------------------------------------------------------------------------------


def terms_body(terms: LockTerms) -> TermsBody:
    return TermsBody(
        chain=terms.chain,
        asset=terms.asset,
        amount=str(terms.amount),
        sender=terms.sender,
        receiver=terms.receiver,
        hashlock=hex_of(terms.hashlock),
        timelock=terms.timelock.seconds,
    )


def terms_from(body: GivenTerms) -> LockTerms:
    return LockTerms(
        asset=parse_asset(body.asset),
        amount=parse_base_units(body.amount, "amount"),
        sender=parse_account(body.sender),
        receiver=parse_account(body.receiver),
        hashlock=Hashlock(bytes_from(body.hashlock, 32, "hashlock")),
        timelock=ChainTime(parse_chain(body.chain), body.timelock),
    )


def swap_body(
    view: SwapView,
    chains: Mapping[ChainId, ChainParameters],
    heads: Callable[[ChainId], HeadUpdate | None],
    now_s: float,
) -> SwapBody:
    """`heads`: the newest head that is known of a chain, None without one."""
    first, second = view.initiator, view.participant
    known = heads(first.chain), heads(second.chain)
    # A swap may be older than the configuration, and on a chain that is not in it any more.
    timings = [chains[leg.chain].timing for leg in (first, second) if leg.chain in chains]
    return SwapBody(
        id=view.id,
        quote_id=view.quote_id or None,
        role=view.role,
        hashlock=hex_of(view.hashlock),
        phase=view.phase,
        done=view.done,
        reason_code=view.reason_code,
        reason=view.reason,
        initiator=_leg_body(first, chains.get(first.chain), known[0]),
        participant=_leg_body(second, chains.get(second.chain), known[1]),
        preimage=None if view.preimage is None else hex_of(view.preimage),
        lock_deadline=view.lock_deadline_s,
        created_at=view.created_at,
        updated_at=view.updated_at,
        version=view.version,
        reserved=view.reserved,
        reservation=view.reservation or None,
        expected_at=expected.expected_at(view, (timings[0], timings[1]), known, now_s) if len(timings) == 2 else None,
    )


def _leg_body(leg: LegView, chain: ChainParameters | None, head: HeadUpdate | None) -> LegBody:
    return LegBody(
        terms=terms_body(leg.terms),
        holder=None if chain is None else chain.htlc_holder,
        status=leg.status,
        lock_id=leg.lock_id,
        lock=_place_body(leg.lock, head),
        settle=_place_body(leg.settle, head),
    )


def _place_body(seen: Sighting | None, head: HeadUpdate | None) -> PlaceBody | None:
    if seen is None:
        return None
    return PlaceBody(
        height=seen.block.height,
        block_hash=hex_of(seen.block.hash),
        tx_hash=hex_of(seen.tx_hash),
        final=seen.final,
        confirmations=expected.confirmations(seen, head),
    )


def asset_named(chains: Iterable[ChainParameters], asset: AssetId) -> Asset:
    """The asset as its chain's parameters have it. Raise `RejectedError` for an unknown one."""
    for parameters in chains:
        if asset in parameters.assets:
            return parameters.assets[asset]
    raise RejectedError(f"{asset} is not an asset of a configured chain")
