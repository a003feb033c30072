"""Prices and their signed form, pure: what a relayer offers, and what a client checks before it believes an offer.

A pair has a direction: the initiator locks `initiator_asset` first, the participant (the relayer) answers with
`participant_asset`. Rates are fractions of base units; nothing here is ever a float.
"""

from dataclasses import dataclass, fields, replace
from typing import Final

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, AccountId, AssetId, BaseUnits, ChainId, Seconds, chain_of

QUOTE_PREFIX: Final = b"causeway quote v1\0"
QUOTE_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Rate:
    """Participant base units per initiator base unit, exactly. Raise `RejectedError` unless both are positive."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if self.numerator <= 0 or self.denominator <= 0:
            raise RejectedError("a rate is a fraction of two positive integers")


@dataclass(frozen=True, slots=True)
class Pair:
    """One direction that the relayer trades. `minimum` and `maximum` bound the initiator's amount, inclusive. `fee` is
    kept of what each swap pays out, in base units of the participant's asset."""

    initiator_asset: AssetId
    participant_asset: AssetId
    rate: Rate
    minimum: BaseUnits
    maximum: BaseUnits
    fee: BaseUnits = BaseUnits(0)

    def __post_init__(self) -> None:
        if not 0 <= self.fee <= MAX_BASE_UNITS:
            raise RejectedError("a pair's fee is an amount: base units, 0 or more and below 2**256", pair=self.id)
        if self.initiator_chain == self.participant_chain:
            raise RejectedError("the two legs of a swap live on two chains", pair=self.id)
        if not 0 < self.minimum <= self.maximum <= MAX_BASE_UNITS:
            raise RejectedError("a pair's limits are 0 < minimum ≤ maximum < 2**256", pair=self.id)

    @property
    def id(self) -> str:
        return f"{self.initiator_asset}>{self.participant_asset}"

    @property
    def initiator_chain(self) -> ChainId:
        return chain_of(self.initiator_asset)

    @property
    def participant_chain(self) -> ChainId:
        return chain_of(self.participant_asset)


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """A dApp's request: exactly one of the two amounts; the other follows from the rate. The initiator's accounts, if
    they are named, are on the chains of the two assets."""

    initiator_asset: AssetId
    participant_asset: AssetId
    initiator_amount: BaseUnits | None = None
    participant_amount: BaseUnits | None = None
    initiator_sender: AccountId | None = None
    initiator_receiver: AccountId | None = None

    @property
    def parties(self) -> tuple[AccountId, ...]:
        """The initiator's accounts, as far as they are named."""
        return tuple(one for one in (self.initiator_sender, self.initiator_receiver) if one is not None)

    def __post_init__(self) -> None:
        for account, asset in (
            (self.initiator_sender, self.initiator_asset),
            (self.initiator_receiver, self.participant_asset),
        ):
            if account is not None and chain_of(account) != chain_of(asset):
                raise RejectedError(f"{account} is not on {chain_of(asset)}: name the initiator's account there")
        if (self.initiator_amount is None) == (self.participant_amount is None):
            raise RejectedError("ask for an initiator amount or for a participant amount, one of the two")


@dataclass(frozen=True, slots=True)
class Quote:
    """A signed, expiring price. The relayer locks as participant and is paid on the initiator's chain.

    `participant_receiver` is the relayer's account on the initiator's chain (it claims there), `participant_sender` its
    account on the other chain (it locks there). The timelocks that the swap will get lie about `initiator_lock_s` and
    `participant_lock_s` seconds ahead. `issued_at` and `expires_at` are Unix seconds. `key` (32 bytes)
    and `signature` (64 bytes) are ed25519 over `quote_bytes`.
    """

    id: str
    initiator_asset: AssetId
    initiator_amount: BaseUnits
    participant_asset: AssetId
    participant_amount: BaseUnits
    rate: Rate
    participant_receiver: AccountId
    participant_sender: AccountId
    initiator_lock_s: Seconds
    participant_lock_s: Seconds
    issued_at: int
    expires_at: int
    key: bytes
    signature: bytes = b""

    @property
    def initiator_chain(self) -> ChainId:
        return chain_of(self.initiator_asset)

    @property
    def participant_chain(self) -> ChainId:
        return chain_of(self.participant_asset)


def amounts(pair: Pair, request: QuoteRequest) -> tuple[BaseUnits, BaseUnits]:
    """(initiator amount, participant amount) at the pair's rate, less its fee, rounded in the relayer's favour by less
    than one unit.

    Raise `RejectedError` outside the pair's limits or if an amount rounds to nothing.
    """
    rate = pair.rate
    if request.initiator_amount is not None:
        initiator = int(request.initiator_amount)
        participant = initiator * rate.numerator // rate.denominator - pair.fee
    else:
        participant = int(request.participant_amount or 0)
        initiator = -(-(participant + pair.fee) * rate.denominator // rate.numerator)
    if not pair.minimum <= initiator <= pair.maximum:
        raise RejectedError(
            f"the initiator's amount is {initiator}, this pair takes {pair.minimum} to {pair.maximum} base units",
            minimum=pair.minimum,
            maximum=pair.maximum,
        )
    if not 0 < participant <= MAX_BASE_UNITS:
        raise RejectedError("the participant's amount at this rate must lie between 1 and 2**256 - 1: ask for another")
    return BaseUnits(initiator), BaseUnits(participant)


def quoted_rate(pair: Pair, initiator: BaseUnits, participant: BaseUnits) -> Rate:
    """Return the rate from which a quote's two amounts follow: the pair's, or what its fee leaves of it."""
    return Rate(participant, initiator) if pair.fee else pair.rate


def quote_bytes(quote: Quote) -> bytes:
    """Return the bytes to sign: a domain prefix, then every field but the signature, in order, as MessagePack.

    Amounts are decimal strings, since MessagePack's integers end at 2**64.
    """
    values: list[object] = []
    for field in fields(quote):
        value = getattr(quote, field.name)
        if field.name == "signature":
            continue
        if isinstance(value, Rate):
            value = [str(value.numerator), str(value.denominator)]
        elif isinstance(value, int):
            value = str(value)
        values.append(value)
    return QUOTE_PREFIX + msgspec.msgpack.encode(values)


def sign_quote(quote: Quote, key: SigningKey) -> Quote:
    """The same quote with its signature."""
    return replace(quote, signature=key.sign(quote_bytes(quote)).signature)


def verify_quote(quote: Quote, key: bytes, now: float) -> None:
    """Hold the quote against the relayer's public key and the time (Unix seconds). Raise `RejectedError`."""
    if quote.key != key:
        raise RejectedError("the quote is signed with another key than the relayer's")
    try:
        VerifyKey(key).verify(quote_bytes(quote), quote.signature)
    except (BadSignatureError, ValueError, TypeError):
        raise RejectedError("the quote's signature does not fit it: ask for a new quote") from None
    if now >= quote.expires_at:
        raise RejectedError("the quote has expired: ask for a new one", expires_at=quote.expires_at)
