"""A subject's history as rules see it: moves in order, each with its value, its labels and its way across chains.

A subject is an entity if a label names one for the account, otherwise the account itself. Everything here is a pure
value: integers, strings and frozen sets, without a clock.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import chain
from typing import Final, NamedTuple

DAY_S: Final = 86_400
HOUR_S: Final = 3_600
NO_VALUE: Final = -1
"""`Seen.value` of a move whose asset has no rate at that time."""


class Kind(IntEnum):
    """A move's context. `CROSSING`: a leg of a swap joined by hashlock and agreed terms, whose `other` is the
    same party's account on the other chain. `LOCKED`: a lock that nothing joins. `REFUND`: a lock's money comes back.
    """

    PLAIN = 0
    CROSSING = 1
    LOCKED = 2
    REFUND = 3


class Place(NamedTuple):
    """The place of a move among all moves of a subject, in the order in which rules read them.

    `time_s` is the block's in Unix seconds; `direction` 0 is out, 1 in (`indexer.moves.Direction`).
    """

    time_s: int
    chain: str
    height: int
    event_index: int
    direction: int


class Seen(NamedTuple):
    """One move. The first five members are its `Place`, by which tuples of this kind sort.

    `amount` is in base units of `asset`; `value` in minor units of the reporting currency at `time_s`, `NO_VALUE` if
    there is no rate. `passage` is the same text on both sides of a movement (a transfer, or a party's way through a
    swap). `via` is the swap's counterparty, "" without a swap. `own` and `tags` are the categories of the account and
    of its counterparties (`other`, `via`) at `time_s`. `other` is "" for issues and burns.
    """

    time_s: int
    chain: str
    height: int
    event_index: int
    direction: int
    account: str
    other: str
    asset: str
    amount: int
    value: int
    kind: int
    passage: str
    via: str
    own: frozenset[str]
    tags: frozenset[str]

    @property
    def place(self) -> Place:
        return Place(*self[:5])


NO_TAGS: Final[frozenset[str]] = frozenset()
IN: Final = 1
OUT: Final = 0


class Subject(NamedTuple):
    """Whom a history is about. `jurisdiction` chooses parameters (None: the default ones).

    `complete_since_s`: from when on the index has every move; 0 if it begins with the chains.
    """

    name: str
    jurisdiction: str | None = None
    complete_since_s: int = 0


def chain_of(account: str) -> str:
    """Return the CAIP-2 part of a CAIP-10 account, "" for none."""
    return account.rpartition(":")[0]


class Outline(NamedTuple):
    """Measures of some moves of a subject, the last of which are judged: enough to see that a rule finds nothing.

    `ins` and `outs` count payments, without refunds; both are 0 if no payment out is judged, since then nothing that
    looks at payments out finds anything. `came` sums up the values that came in, `most_in` is the highest of them (-1:
    none). `silence_s`: the longest time between two of the moves, or between the last one before them and the first.
    `is_new`: there is none before them. `is_tagged`: labels of the account or of a counterparty are with a move that is
    judged.
    """

    ins: int
    outs: int
    came: int
    most_in: int
    silence_s: int
    is_new: bool
    is_tagged: bool

    @property
    def moves(self) -> int:
        return self.ins + self.outs


QUIET: Final = Outline(0, 0, 0, -1, 0, True, False)
"""The outline of any moves of which only payments in without labels are judged."""


def is_quiet(judged: Iterable[Seen]) -> bool:
    """Return true if these are payments in without labels, all of them."""
    return not any(move.direction == OUT or move.own or move.tags for move in judged)


def outline(before_s: int | None, before: Sequence[Seen], judged: Sequence[Seen]) -> Outline:
    """Return the outline of moves in order. `before_s`: the time of the last move before all of them, None if there is
    none."""
    is_tagged = any(move.own or move.tags for move in judged)
    if all(move.direction != OUT for move in judged):
        return Outline(0, 0, 0, -1, 0, before_s is None, is_tagged)
    ins = outs = came = silence_s = 0
    most_in, last_s = -1, before_s
    for move in chain(before, judged):
        if move.kind == Kind.REFUND:
            continue
        if last_s is not None and move.time_s - last_s > silence_s:
            silence_s = move.time_s - last_s
        last_s = move.time_s
        if move.direction == OUT:
            outs += 1
            continue
        ins += 1
        value = move.value
        if value > 0:
            came += value
        if value > most_in:
            most_in = value
    return Outline(ins, outs, came, most_in, silence_s, before_s is None, is_tagged)


def windowed(moves: Iterable[Seen], since_s: int) -> tuple[int | None, list[Seen]]:
    """Return the time of the last move before `since_s`, None if there is none, and the moves from it on.

    Refunds do not count: rules do not step over them.
    """
    before_s, kept = None, []
    for move in moves:
        if move.time_s >= since_s:
            kept.append(move)
        elif move.kind != Kind.REFUND:
            before_s = move.time_s
    return before_s, kept
