"""Folds over labels and amounts: dealings with listed accounts, and mixers."""

from collections import deque
from typing import Final

from regulator_api.rules.history import DAY_S, IN, Kind, Seen
from regulator_api.rules.observation import named
from regulator_api.rules.parameters import MixerParameters, SanctionsParameters
from regulator_api.rules.payments import Finding

MAX_POOL: Final = 512
"""Moves of a week by which an account is judged to be a pool: the newest ones."""
POOL_S: Final = 7 * DAY_S


class Sanctions:
    """A move with an account that is listed at that time, or of one. Labels say from when to when.

    A move before the designation, or after the delisting, is none of this rule's.
    """

    __slots__ = ("_listed", "_p")

    def __init__(self, parameters: SanctionsParameters) -> None:
        self._p = parameters
        self._listed = frozenset(parameters.listed)

    def step(self, m: Seen, found: list[Finding]) -> None:
        if not m.own and not m.tags:
            return
        own = not m.own.isdisjoint(self._listed)
        other = not m.tags.isdisjoint(self._listed)
        if (own or other) and (m.value >= self._p.floor or m.value < 0):
            figures = (
                ("listed_itself", int(own)),
                ("listed_counterparty", int(other)),
                ("value", m.value),
                ("direction_in", int(m.direction == IN)),
            )
            others = tuple(one for one in (m.other, m.via) if one)
            found.append(("", m.time_s - DAY_S, named([m]), others, figures))


class Mixer:
    """Dealings with an account labelled a mixer; or an account that works as one.

    The latter: within seven days at least `min_deposits` payments in of exactly one amount, a power of ten or a tenth
    of one in whole coins (0.1, 1, 10, 100), from `min_depositors` accounts; payments out of that amount less at most
    `fee_pm` to `min_receivers` accounts that paid nothing in; and together these are `share_pm` of all its moves.
    """

    __slots__ = ("_mixers", "_moves", "_p")

    def __init__(self, parameters: MixerParameters) -> None:
        self._p = parameters
        self._mixers = frozenset(parameters.mixers)
        self._moves: deque[Seen] = deque(maxlen=MAX_POOL)

    def step(self, m: Seen, found: list[Finding]) -> None:
        if m.tags and not m.tags.isdisjoint(self._mixers):
            others = tuple(one for one in (m.other, m.via) if one)
            figures = (("labelled", 1), ("value", m.value), ("direction_in", int(m.direction == IN)))
            found.append(("", m.time_s - DAY_S, named([m]), others, figures))
        if m.kind != Kind.PLAIN or not m.other:
            return
        moves = self._moves
        moves.append(m)
        while moves[0].time_s < m.time_s - POOL_S:
            moves.popleft()
        # Judged at a payment out: what a pool is for.
        if m.direction != IN and len(moves) >= self._p.min_deposits + self._p.min_receivers:
            self._judge(m, found)

    def _judge(self, m: Seen, found: list[Finding]) -> None:
        p = self._p
        amount = _denomination_of(m.amount, p.fee_pm)
        if amount is None:
            return
        least = amount * (1_000 - p.fee_pm)
        same = [one for one in self._moves if one.asset == m.asset]
        ins = [one for one in same if one.direction == IN and one.amount == amount]
        depositors = {one.other for one in ins}
        if len(ins) < p.min_deposits or len(depositors) < p.min_depositors:
            return
        outs = [one for one in same if one.direction != IN and one.amount <= amount and one.amount * 1_000 >= least]
        receivers = {one.other for one in outs} - depositors
        if len(receivers) < p.min_receivers or (len(ins) + len(outs)) * 1_000 < p.share_pm * len(self._moves):
            return
        figures = (
            ("labelled", 0),
            ("deposits", len(ins)),
            ("depositors", len(depositors)),
            ("receivers", len(receivers)),
            ("min_deposits", p.min_deposits),
        )
        moves = sorted([*ins, *outs], key=lambda one: one[:5])
        found.append(("pool", moves[0].time_s, named(moves), tuple(sorted(depositors))[:64], figures))


def _denomination_of(amount: int, fee_pm: int) -> int | None:
    """Return the power of ten that `amount` is, or is short of by at most the fee; None if there is none."""
    power = 1
    while power < amount:
        power *= 10
    return power if amount * 1_000 >= power * (1_000 - fee_pm) and amount > 0 else None
