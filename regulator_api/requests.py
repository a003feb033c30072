"""Questions and reports of callers, and how they become typed values."""

import re
from typing import Annotated, Literal

import msgspec

from core.model.amounts import parse_base_units
from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.types import (
    MAX_IDENTIFIER_CHARS,
    MAX_TIMELOCK_S,
    ChainTime,
    Hashlock,
    LockTerms,
    SwapId,
    hashlock,
)
from core.runtime.web import PageQuery
from indexer.projections import ReportedAgreement

Identifier = Annotated[
    str, msgspec.Meta(pattern="^[!-~]+$", max_length=MAX_IDENTIFIER_CHARS, description="Printable ASCII, no spaces.")
]
Hash32 = Annotated[str, msgspec.Meta(pattern="^(0x)?[0-9a-fA-F]{64}$", description="32 bytes in hex.")]
Amount = Annotated[str, msgspec.Meta(pattern="^[1-9][0-9]{0,77}$", description="Base units, a decimal integer.")]
_HASH = re.compile(r"(0x)?[0-9a-fA-F]{64}")
UnixSeconds = Annotated[int, msgspec.Meta(ge=1, le=MAX_TIMELOCK_S, description="Unix seconds of the leg's chain.")]
SwapStatusName = Literal[
    "unjoined",
    "agreed",
    "initiator-locked",
    "participant-locked",
    "locked",
    "revealed",
    "claimed",
    "refunding",
    "refunded",
    "one-sided",
]


class AuditQuery(PageQuery, frozen=True, kw_only=True):
    who: Identifier | None = None


class EvidenceQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `leg` the answer is that leg's evidence file itself, byte for byte."""

    leg: Literal["initiator", "participant"] | None = None


class ReportedTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One leg as it was agreed; CAIP-2 chain, CAIP-19 asset and CAIP-10 accounts on it."""

    chain: Identifier
    asset: Identifier
    amount: Amount
    sender: Identifier
    receiver: Identifier
    timelock: UnixSeconds


class AgreementBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms that two parties agreed on, as a relayer that took part reports them. `source` is what it calls itself."""

    swap_id: Identifier
    hashlock: Hash32
    initiator: ReportedTerms
    participant: ReportedTerms
    source: Identifier | None = None


def parse_swap_id(text: str) -> SwapId:
    """A swap's id out of a path. Raise `RejectedError` for what cannot be one."""
    if not 0 < len(text) <= MAX_IDENTIFIER_CHARS or not (text.isascii() and text.isprintable()):
        raise RejectedError(f"a swap id is 1 to {MAX_IDENTIFIER_CHARS} printable ASCII characters")
    return SwapId(text)


def parse_hash(text: str) -> Hashlock:
    """A hashlock with or without `0x`. Raise `RejectedError`."""
    # `fromhex` alone would pass over spaces.
    if _HASH.fullmatch(text) is None:
        raise RejectedError("a hashlock is 64 hex digits")
    return hashlock(bytes.fromhex(text[-64:]))


def parse_terms(body: ReportedTerms, lock: Hashlock) -> LockTerms:
    """Raise `RejectedError` for malformed identifiers, and terms that contradict themselves."""
    return LockTerms(
        asset=parse_asset(body.asset),
        amount=parse_base_units(body.amount, "amount"),
        sender=parse_account(body.sender),
        receiver=parse_account(body.receiver),
        hashlock=lock,
        timelock=ChainTime(parse_chain(body.chain), body.timelock),
    )


def parse_agreement(body: AgreementBody, reporter: str) -> ReportedAgreement:
    """`reporter`, whose key it was, goes before the name in the report. Raise `RejectedError` for legs that make no
    swap."""
    lock = parse_hash(body.hashlock)
    source = reporter if body.source in (None, reporter) else f"{reporter} ({body.source})"[:MAX_IDENTIFIER_CHARS]
    initiator, participant = parse_terms(body.initiator, lock), parse_terms(body.participant, lock)
    return ReportedAgreement(SwapId(body.swap_id), initiator, participant, source)
