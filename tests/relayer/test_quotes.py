"""Amounts and signatures of quotes."""

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS, AccountId, AssetId, BaseUnits, Seconds
from relayer.provider.quoting import Pair, Quote, QuoteRequest, Rate, amounts, quote_bytes, sign_quote, verify_quote

ETH, CNYD = AssetId("eip155:1/slip44:60"), AssetId("causeway:devnet-1/asset:cnyd")
KEY = SigningKey(bytes(32))
QUOTE = Quote(
    id="00" * 16,
    initiator_asset=ETH,
    initiator_amount=BaseUnits(10**18),
    participant_asset=CNYD,
    participant_amount=BaseUnits(2 * 10**30),
    rate=Rate(2 * 10**12, 1),
    participant_receiver=AccountId("eip155:1:0x" + "11" * 20),
    participant_sender=AccountId("causeway:devnet-1:" + "22" * 20),
    initiator_lock_s=Seconds(40),
    participant_lock_s=Seconds(20),
    issued_at=1_700_000_000,
    expires_at=1_700_000_030,
    key=bytes(KEY.verify_key),
)

positive = st.integers(1, 10**30)


@given(positive, positive, positive)
def test_rounding_never_costs_the_relayer_and_never_a_whole_unit(numerator: int, denominator: int, amount: int) -> None:
    pair = Pair(ETH, CNYD, Rate(numerator, denominator), BaseUnits(1), BaseUnits(MAX_BASE_UNITS))
    for request in (
        QuoteRequest(ETH, CNYD, initiator_amount=BaseUnits(amount)),
        QuoteRequest(ETH, CNYD, participant_amount=BaseUnits(amount)),
    ):
        try:
            initiator, participant = amounts(pair, request)
        except RejectedError:
            assert request.initiator_amount is not None
            assert amount * numerator < denominator  # it would round to nothing
            continue
        assert participant * denominator <= initiator * numerator
        if request.initiator_amount is not None:
            assert initiator == amount
            assert (participant + 1) * denominator > initiator * numerator
        else:
            assert participant == amount
            assert participant * denominator > (initiator - 1) * numerator


def test_a_signature_fits_every_field() -> None:
    signed = sign_quote(QUOTE, KEY)
    verify_quote(signed, signed.key, QUOTE.issued_at)
    changed: dict[str, Any] = {
        "rate": Rate(3, 1),
        "initiator_asset": CNYD,
        "participant_asset": ETH,
        "participant_receiver": AccountId("eip155:1:0x" + "33" * 20),
        "participant_sender": AccountId("causeway:devnet-1:" + "44" * 20),
        "id": "01" * 16,
    }
    for field in fields(Quote):
        if field.name in ("key", "signature"):
            continue
        value = changed.get(field.name)
        other = replace(signed, **{field.name: getattr(signed, field.name) + 1 if value is None else value})
        assert quote_bytes(other) != quote_bytes(signed)
        with pytest.raises(RejectedError, match="signature"):
            verify_quote(other, signed.key, QUOTE.issued_at)


def test_an_expired_or_foreign_quote_is_refused() -> None:
    signed = sign_quote(QUOTE, KEY)
    with pytest.raises(RejectedError, match="expired"):
        verify_quote(signed, signed.key, QUOTE.expires_at)
    with pytest.raises(RejectedError, match="another key"):
        verify_quote(signed, bytes(32), QUOTE.issued_at)


def test_a_pair_has_two_chains_and_sensible_limits() -> None:
    with pytest.raises(RejectedError, match="two chains"):
        Pair(ETH, ETH, Rate(1, 1), BaseUnits(1), BaseUnits(2))
    with pytest.raises(RejectedError, match="limits"):
        Pair(ETH, CNYD, Rate(1, 1), BaseUnits(3), BaseUnits(2))
    with pytest.raises(RejectedError, match="one of the two"):
        QuoteRequest(ETH, CNYD)
