"""Prices in the database: what was accepted last, what is held, what the operator has confirmed."""

from dataclasses import replace
from fractions import Fraction
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from core.runtime.database import METADATA
from relayer.provider.pricing import PriceState

prices = sa.Table(
    "relayer_prices",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("accepted", sa.Text),
    sa.Column("accepted_ns", sa.BigInteger, nullable=False),
    sa.Column("held", sa.Text),
    sa.Column("held_ns", sa.BigInteger, nullable=False),
    sa.Column("confirmed", sa.Text),
    sa.Column("error", sa.Text),
)
"""One `PriceState` for each name; prices are `numerator/denominator`."""

TABLES: Final = (prices,)

_NAMED: Final = prices.c.name == sa.bindparam("of_name")
_LOAD: Final = sa.select(prices).where(_NAMED)
_CHANGE: Final = sa.update(prices).where(_NAMED)
_INSERT: Final = sa.insert(prices)


def load(connection: Connection, name: str) -> PriceState:
    """Return what is known of a price; an empty state if nothing is."""
    row = connection.execute(_LOAD, {"of_name": name}).one_or_none()
    if row is None:
        return PriceState()
    return PriceState(
        accepted=_fraction(row.accepted),
        accepted_ns=row.accepted_ns,
        held=_fraction(row.held),
        held_ns=row.held_ns,
        confirmed=_fraction(row.confirmed),
        error=row.error,
    )


def store(connection: Connection, name: str, state: PriceState) -> None:
    """Write a price's state down."""
    values = {
        "accepted": _text(state.accepted),
        "accepted_ns": state.accepted_ns,
        "held": _text(state.held),
        "held_ns": state.held_ns,
        "confirmed": _text(state.confirmed),
        "error": state.error,
    }
    changed = connection.execute(_CHANGE, {"of_name": name, **values})
    if changed.rowcount == 0:
        connection.execute(_INSERT, {"name": name, **values})


def confirm(connection: Connection, name: str) -> Fraction:
    """Note the operator's word that the price at which `name` is held is right; return that price.

    It is followed from the next look on, if it is still near. Raise `RejectedError` if it is not held.
    """
    state = load(connection, name)
    if state.held is None:
        raise RejectedError(f"the price {name} has not jumped: there is nothing to confirm")
    store(connection, name, replace(state, confirmed=state.held))
    return state.held


def _text(value: Fraction | None) -> str | None:
    return None if value is None else f"{value.numerator}/{value.denominator}"


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)
