"""Ledgers and the traced value on them, by FIFO, haircut and poison: pure integer arithmetic.

FIFO: what came in first leaves first (Clayton's Case, 1816). Haircut: what leaves carries its share of all that is
there; shares are rounded down, and what rounding leaves stays where it is, so that sums are exact. Poison: a ledger
that was reached reaches all that it sends to. Taint is in base units of the source: a swap changes the carrier, never
the sum.
"""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from regulator_api.tracing.model import Ledger, Method

Part = tuple[int, int]
"""Base units of a ledger's asset, and how much of the source they carry."""
CLEAN: Part = (0, 0)


class Holdings(Protocol):
    """The contents of ledgers by one method's rule."""

    def receive(self, ledger: Ledger, parts: Sequence[Part]) -> None: ...

    def spend(self, ledger: Ledger, amount: int) -> list[Part]:
        """Take `amount` out. The part of it that was never seen to come in is clean."""

    def exchange(self, ledger: Ledger, amount: int) -> list[Part]:
        """Take everything out, carried by `amount` of another asset from now on."""

    def taints(self) -> dict[Ledger, int]:
        """Return the taint of each ledger that has any."""


class Fifo:
    """A queue of lots for each ledger. A lot that is split gives the first part its share, rounded down."""

    def __init__(self) -> None:
        self._lots: dict[Ledger, deque[Part]] = {}

    def receive(self, ledger: Ledger, parts: Sequence[Part]) -> None:
        lots = self._lots.setdefault(ledger, deque())
        for amount, taint in parts:
            if lots and not taint and not lots[-1][1]:
                lots[-1] = (lots[-1][0] + amount, 0)
            elif amount or taint:
                lots.append((amount, taint))

    def spend(self, ledger: Ledger, amount: int) -> list[Part]:
        lots, out = self._lots.get(ledger), list[Part]()
        while amount and lots:
            units, taint = lots.popleft()
            if units <= amount:
                out.append((units, taint))
                amount -= units
            else:
                leaves = taint * amount // units
                out.append((amount, leaves))
                lots.appendleft((units - amount, taint - leaves))
                amount = 0
        if amount or not out:
            out.append((amount, 0))
        return out

    def exchange(self, ledger: Ledger, amount: int) -> list[Part]:
        lots = list(self._lots.pop(ledger, ()))
        if not lots:
            return [(amount, 0)]
        return list(zip(shares(amount, [one[0] for one in lots]), (one[1] for one in lots), strict=True))

    def taints(self) -> dict[Ledger, int]:
        sums = {ledger: sum(taint for _, taint in lots) for ledger, lots in self._lots.items()}
        return {ledger: taint for ledger, taint in sums.items() if taint}


class Haircut:
    """An amount and its taint for each ledger."""

    def __init__(self) -> None:
        self._held: dict[Ledger, Part] = {}

    def receive(self, ledger: Ledger, parts: Sequence[Part]) -> None:
        amount, taint = self._held.get(ledger, CLEAN)
        self._held[ledger] = (amount + sum(part[0] for part in parts), taint + sum(part[1] for part in parts))

    def spend(self, ledger: Ledger, amount: int) -> list[Part]:
        held, taint = self._held.get(ledger, CLEAN)
        if not amount:
            return [CLEAN]
        if amount >= held:
            self._held.pop(ledger, None)
            return [(amount, taint)]
        leaves = taint * amount // held
        self._held[ledger] = (held - amount, taint - leaves)
        return [(amount, leaves)]

    def exchange(self, ledger: Ledger, amount: int) -> list[Part]:
        return [(amount, self._held.pop(ledger, CLEAN)[1])]

    def taints(self) -> dict[Ledger, int]:
        return {ledger: taint for ledger, (_, taint) in self._held.items() if taint}


class Poison:
    """Ledgers that were reached, each with the sum of the amounts that reached it, in base units of its own asset."""

    def __init__(self) -> None:
        self._reached: dict[Ledger, int] = {}

    def receive(self, ledger: Ledger, parts: Sequence[Part]) -> None:
        taint = sum(part[1] for part in parts)
        if taint:
            self._reached[ledger] = self._reached.get(ledger, 0) + taint

    def spend(self, ledger: Ledger, amount: int) -> list[Part]:
        return [(amount, amount if ledger in self._reached else 0)]

    def exchange(self, ledger: Ledger, amount: int) -> list[Part]:
        return self.spend(ledger, amount)

    def taints(self) -> dict[Ledger, int]:
        return dict(self._reached)


def holdings_of(method: Method) -> Holdings:
    """Empty ledgers of a method."""
    match method:
        case Method.FIFO:
            return Fifo()
        case Method.HAIRCUT:
            return Haircut()
        case Method.POISON:
            return Poison()


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Return integers in proportion to `weights` that add up to `total`: largest remainders, earlier ones first."""
    whole = sum(weights)
    if not whole:
        return [total, *[0] * (len(weights) - 1)] if weights else []
    made = [total * weight // whole for weight in weights]
    left = total - sum(made)
    order = sorted(range(len(weights)), key=lambda place: (-(total * weights[place] % whole), place))
    for place in order[:left]:
        made[place] += 1
    return made
