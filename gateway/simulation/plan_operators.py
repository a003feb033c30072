"""The parts of a plan that are about relayers' operators: prices and fees, two processes, withdrawals, purses that are
filled, accounts that change."""

from dataclasses import dataclass
from enum import StrEnum

from core.model.types import ChainId


@dataclass(frozen=True, slots=True)
class Pricing:
    """Relayers trade at a price that is looked at. `jump_at_s`, `stall_at_s`: seconds of the story at which it jumps to
    `jump_percent`, or stands still, each for a time. `flaky`: the share of looks that bring nothing."""

    jump_at_s: float
    jump_for_s: float
    jump_percent: int
    stall_at_s: float
    stall_for_s: float
    flaky: float


@dataclass(frozen=True, slots=True)
class Trading:
    """Relayers trade at `rate` (a fraction, by numerator and denominator) less `fee`, in base units of what is paid
    out. Whoever has a deal in `asks` names what they want to get, and not what they give."""

    rate: tuple[int, int]
    fee: int
    asks: frozenset[int]


class Fall(StrEnum):
    """A trouble of the process that leads, while another of the same relayer stands by."""

    KILLED = "killed"
    PAUSED = "paused"
    CUT_OFF = "cut-off"
    """From the database, not from the chains."""


@dataclass(frozen=True, slots=True)
class Leading:
    """The first relayer has two processes on one database. At `at_s` the one that leads falls, for `for_s`; or as soon
    as it has sent its `funding`-th lock; or while it has a lock signed, if the plan's `signing` is about that."""

    fall: Fall
    at_s: float
    for_s: float
    funding: int = 0


class Purpose(StrEnum):
    """An order to pay out of a relayer's accounts: how much, to whom, by whom."""

    SOME = "some"
    ALL = "all"
    """All that is free."""
    TOO_MUCH = "too-much"
    ELSEWHERE = "elsewhere"
    """To an account that its configuration does not name."""
    FORGED = "forged"
    """By somebody who can write to the database and has no key."""

    @property
    def may_pay(self) -> bool:
        return self in (Purpose.SOME, Purpose.ALL)


@dataclass(frozen=True, slots=True)
class Withdrawing:
    """A withdrawal of a relayer's coin or token on a chain, ordered `at_s` seconds into the story.

    If `after` is not 0: of what the `after`-th honest agreement is to be paid out in, `at_s` seconds behind it.
    `percent` of what it holds."""

    relayer: int
    purpose: Purpose
    chain: ChainId
    coin: bool
    percent: int
    at_s: float
    after: int
    within_s: int


@dataclass(frozen=True, slots=True)
class Topped:
    """The first relayer's purse, which is short, is filled: as a policy has it (`by_itself`), or by its operator's hand
    once a swap waits for it, or `at_s` seconds into the story if none does."""

    by_itself: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class Rotation:
    """At `at_s` (seconds of the story) the first relayer begins again with another account on `chain`: the former one
    ends what it began."""

    chain: ChainId
    at_s: float
