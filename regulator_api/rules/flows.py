"""Folds over what comes in and goes out again: pass-through, links, accumulation, dispersal.

Nothing here is used up: a payment out is compared with what came in before it, and what has been compared once may be
compared again. So the state at a move depends on a fixed span of moves before it and on nothing else.
"""

from collections import deque
from typing import Final, NamedTuple

from regulator_api.rules.history import DAY_S, HOUR_S, OUT, Kind, Seen, chain_of
from regulator_api.rules.observation import Link, named
from regulator_api.rules.parameters import AccumulationParameters, DispersalParameters, PassThroughParameters
from regulator_api.rules.payments import Finding

LINK_S: Final = 5 * DAY_S
"""The longest stay of value between two moves that a link joins; a rule may ask for shorter ones."""
LINK_KEEP_PM: Final = 800
LINK_FLOOR: Final = 1_000
"""Minor units: smaller payments make no links."""
MAX_LOTS: Final = 16
"""Payments in within `LINK_S`; of an account with more nobody can say which of them left, so it makes no links."""
HOPPING_S: Final = HOUR_S
HELD_H: Final = 72
MAX_WINDOW: Final = 1_000
"""Moves of 72 hours that gathering rules look at; an account with more raises none of theirs until it has fewer."""


class _Lot(NamedTuple):
    """A large payment in. `came_before`, `left_before`: what had come and left before it. `empty`: the account had kept
    little of that."""

    move: Seen
    came_before: int
    left_before: int
    empty: bool


class PassThrough:
    """A payment in of at least `floor`, after which `out_pm` to `over_pm` of all that came in since has left again, by
    at most `max_outs` payments within `within_h` hours.

    Not if more than `held_pm` of the payment in was there already, of what had come in the `HELD_H` hours before: an
    account that holds others' money, as a pool does, now and then pays out by chance what has just come. Not judged
    while more than `max_lots` such payments are open. If the payments out cross to three chains or more within an
    hour, `chains` says so.
    """

    __slots__ = ("_held", "_hours", "_in", "_lots", "_out", "_outs", "_p")

    def __init__(self, parameters: PassThroughParameters) -> None:
        self._p = parameters
        self._in = self._out = 0
        self._hours: deque[list[int]] = deque()
        self._held = 0
        self._lots: deque[_Lot] = deque(maxlen=parameters.max_lots + 1)
        self._outs: deque[Seen] = deque(maxlen=parameters.max_outs + 1)

    def step(self, m: Seen, found: list[Finding]) -> None:
        time_s, value, p = m.time_s, m.value, self._p
        lots = self._lots
        while lots and lots[0].move.time_s < time_s - p.within_h * HOUR_S:
            lots.popleft()
        if value < 0:
            return
        if m.direction != OUT:
            held = self._hold(time_s, value)
            if value >= p.floor:
                lots.append(_Lot(m, self._in, self._out, held * 1_000 <= p.held_pm * value))
            self._in += value
            return
        self._out += value
        self._hold(time_s, -value)
        self._outs.append(m)
        if not lots or len(lots) > p.max_lots:
            return
        for lot in lots:
            came, left = self._in - lot.came_before, self._out - lot.left_before
            if lot.empty and p.out_pm * came <= left * 1_000 <= p.over_pm * came:
                self._find(m, lot, came, left, found)

    def _hold(self, time_s: int, value: int) -> int:
        """Return what the account kept of the hours before, that of `time_s` included, and add the payment."""
        hour, hours = time_s // HOUR_S, self._hours
        while hours and hours[0][0] < hour - HELD_H:
            self._held -= hours.popleft()[1]
        before = self._held
        self._held += value
        if hours and hours[-1][0] == hour:
            hours[-1][1] += value
        else:
            hours.append([hour, value])
        return before

    def _find(self, m: Seen, lot: _Lot, came: int, left: int, found: list[Finding]) -> None:
        first = lot.move
        outs = [one for one in self._outs if one[:5] > first[:5]]
        if len(outs) > self._p.max_outs:
            return
        crossed = [one for one in outs if one.kind == Kind.CROSSING and one.time_s <= first.time_s + HOPPING_S]
        figures = (
            ("value_in", first.value),
            ("came", came),
            ("left", left),
            ("floor", self._p.floor),
            ("hours", (m.time_s - first.time_s) // HOUR_S),
            ("chains", len({chain_of(one.other) for one in crossed} - {""})),
        )
        anchor = "/".join(map(str, first[:5]))
        found.append((anchor, first.time_s, named((first, *outs)), (first.other,), figures))


class Links:
    """Which payment in a payment out carries on: of those whose value it keeps to `LINK_KEEP_PM` thousandths, not more
    than they brought, the one closest in value, of equals the latest.

    A payment by a service, or by an account with more than `MAX_LOTS` payments in, carries nothing on.
    """

    __slots__ = ("_lots", "_services", "_subject")

    def __init__(self, subject: str, services: frozenset[str]) -> None:
        self._subject, self._services = subject, services
        self._lots: deque[Seen] = deque(maxlen=MAX_LOTS + 1)

    def step(self, m: Seen, links: list[Link]) -> None:
        lots, time_s, value = self._lots, m.time_s, m.value
        while lots and lots[0].time_s < time_s - LINK_S:
            lots.popleft()
        if value < LINK_FLOOR:
            return
        if m.direction != OUT:
            lots.append(m)
            return
        if not lots or len(lots) > MAX_LOTS or (m.own and not m.own.isdisjoint(self._services)):
            return
        best, most = None, value * 1_000 // LINK_KEEP_PM
        for lot in lots:
            if value <= lot.value <= most:
                best, most = lot, lot.value
        if best is None:
            return
        links.append(
            Link(
                m.passage,
                best.passage,
                best.place,
                m.place,
                self._subject,
                m.account,
                best.other,
                m.other,
                best.value,
                value,
                tuple(sorted(best.tags)),
                tuple(sorted(m.tags)),
            )
        )


class _Window:
    """Moves of some hours with their sum, and how many each day of the thirty before had."""

    __slots__ = ("counts", "days", "moves", "quiet_until_s", "span_s", "total")

    def __init__(self, span_s: int) -> None:
        self.span_s = span_s
        self.moves: deque[Seen] = deque()
        self.counts: dict[str, int] = {}
        self.total = 0
        self.days: deque[list[int]] = deque()
        self.quiet_until_s = 0

    def trim(self, time_s: int) -> None:
        while self.moves and self.moves[0].time_s < time_s - self.span_s:
            self._drop()

    def add(self, m: Seen) -> None:
        self.moves.append(m)
        self.counts[m.other] = self.counts.get(m.other, 0) + 1
        self.total += m.value
        if len(self.moves) > MAX_WINDOW:
            self.quiet_until_s = self.moves[0].time_s + self.span_s
            self._drop()
        day, days = m.time_s // DAY_S, self.days
        if days and days[-1][0] == day:
            days[-1][1] += 1
        else:
            days.append([day, 1])
            while days[0][0] < day - 29:
                days.popleft()

    def _drop(self) -> None:
        gone = self.moves.popleft()
        self.total -= gone.value
        left = self.counts[gone.other] - 1
        if left:
            self.counts[gone.other] = left
        else:
            del self.counts[gone.other]

    def is_burst(self, time_s: int, pm: int) -> bool:
        """Return true if at least `pm` thousandths of the thirty days' moves are in the window."""
        since = time_s // DAY_S - 29
        return len(self.moves) * 1_000 >= pm * sum(count for day, count in self.days if day >= since)


class Accumulation:
    """Payments in below `below` from at least `min_senders` senders within `within_h` hours, `floor` or more together,
    most of the account's payments in of thirty days (`burst_pm`), and `out_pm` or more of their sum out again by at
    most `max_outs` payments after the first of them. An index that does not begin with the chains knows no habits
    before it has `settled_days`.
    """

    __slots__ = ("_ins", "_known_s", "_outs", "_p")

    def __init__(self, parameters: AccumulationParameters, complete_since_s: int) -> None:
        self._p = parameters
        self._known_s = complete_since_s + parameters.settled_days * DAY_S if complete_since_s else 0
        self._ins = _Window(parameters.within_h * HOUR_S)
        self._outs: deque[Seen] = deque(maxlen=parameters.max_outs + 1)

    def step(self, m: Seen, found: list[Finding]) -> None:
        if m.value < 0:
            return
        p, ins = self._p, self._ins
        if m.direction != OUT:
            if m.value < p.below and m.kind == Kind.PLAIN and m.other:
                ins.trim(m.time_s)
                ins.add(m)
            return
        outs = self._outs
        outs.append(m)
        if len(ins.counts) < p.min_senders:
            return
        ins.trim(m.time_s)
        if len(ins.counts) < p.min_senders or m.time_s < max(ins.quiet_until_s, self._known_s):
            return
        if ins.total < p.floor:
            return
        recent = [one for one in outs if one[:5] > ins.moves[0][:5]]
        sent = sum(one.value for one in recent)
        if len(recent) > p.max_outs or sent * 1_000 < p.out_pm * ins.total or not ins.is_burst(m.time_s, p.burst_pm):
            return
        figures = (
            ("senders", len(ins.counts)),
            ("min_senders", p.min_senders),
            ("came", ins.total),
            ("floor", p.floor),
            ("left", sent),
            ("outs", len(recent)),
        )
        moves = named((*ins.moves, *recent))
        found.append(("", ins.moves[0].time_s, moves, tuple(sorted(ins.counts))[:64], figures))


class Dispersal:
    """Payments out to at least `min_receivers` receivers within `within_h` hours, most of the account's payments out of
    thirty days (`burst_pm`), that carry on `out_pm` or more of at least `floor` that came in within these hours."""

    __slots__ = ("_in_total", "_ins", "_known_s", "_outs", "_p")

    def __init__(self, parameters: DispersalParameters, complete_since_s: int) -> None:
        self._p = parameters
        self._known_s = complete_since_s + parameters.settled_days * DAY_S if complete_since_s else 0
        self._outs = _Window(parameters.within_h * HOUR_S)
        self._ins: deque[Seen] = deque()
        self._in_total = 0

    def step(self, m: Seen, found: list[Finding]) -> None:
        if m.value < 0:
            return
        p, outs, ins = self._p, self._outs, self._ins
        if m.direction != OUT:
            self._trim_ins(m.time_s)
            ins.append(m)
            self._in_total += m.value
            if len(ins) > MAX_WINDOW:
                outs.quiet_until_s = ins[0].time_s + outs.span_s
                self._in_total -= ins.popleft().value
            return
        if not m.other:
            return
        outs.trim(m.time_s)
        outs.add(m)
        if len(outs.counts) < p.min_receivers or m.time_s < max(outs.quiet_until_s, self._known_s):
            return
        self._trim_ins(m.time_s)
        came = self._in_total
        if not self._ins or came < p.floor or not p.out_pm * came <= outs.total * 1_000 <= 1_100 * came:
            return
        if not outs.is_burst(m.time_s, p.burst_pm):
            return
        figures = (
            ("receivers", len(outs.counts)),
            ("min_receivers", p.min_receivers),
            ("came", came),
            ("left", outs.total),
            ("floor", p.floor),
        )
        since = min(ins[0].time_s, outs.moves[0].time_s)
        found.append(("", since, named((*ins, *outs.moves)), tuple(sorted(outs.counts))[:64], figures))

    def _trim_ins(self, time_s: int) -> None:
        while self._ins and self._ins[0].time_s < time_s - self._outs.span_s:
            self._in_total -= self._ins.popleft().value
