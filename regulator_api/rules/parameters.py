"""Parameters of the typologies, with their units, bounds and defaults (sources: docs/supervising/methods.md).

Money is in minor units of the reporting currency (cents), shares in thousandths (`_pm`), times in seconds, hours or
days as the name says. A parameter out of its bounds is refused with its name when a rule is read.
"""

from functools import cache
from typing import Annotated, Any, ClassVar, Final, get_type_hints

import msgspec

from regulator_api.knowledge.tags import MIXER, SANCTIONED, SERVICES

_ENDINGS: Final = {"_pm": "thousandths", "_tenths": "tenths", "_days": "days", "_h": "hours", "_s": "seconds"}
CENTS: Final = "cents"
"""Minor units of the reporting currency."""

Money = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Share = Annotated[int, msgspec.Meta(ge=0, le=1_000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=200)]
Days = Annotated[int, msgspec.Meta(ge=1, le=30)]
Hours = Annotated[int, msgspec.Meta(ge=1, le=72)]
Categories = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=64)], ...], msgspec.Meta(max_length=32)]

EXEMPT: Final[Categories] = tuple(sorted({*SERVICES, "htlc", "liquidity_provider", "relayer"}))
"""Categories whose members move their customers' money: what passes through them is not followed."""
LISTED: Final[Categories] = (SANCTIONED,)
MIXERS: Final[Categories] = (MIXER, "mixer", "coinjoin")


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters of all rules. `exempt`: subjects with one of these categories at the time raise no alert."""

    history_s: ClassVar[int] = 0
    """Seconds of history that a fold's state depends on, next to the one move before them."""
    exempt: Categories = EXEMPT


class StructuringParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Payments just below `threshold`: at least `near_pm` of it, and not all of it.

    `more`: how many payments more than `min_count` it takes over a week, and as many again over a month.
    `standing_days`: equal payments to one receiver that come at least so far apart count once.
    """

    history_s: ClassVar[int] = 31 * 86_400
    threshold: Money = 100_000
    near_pm: Share = 900
    min_count: Count = 3
    more: Annotated[int, msgspec.Meta(ge=0, le=100)] = 1
    share_pm: Share = 500
    standing_days: Days = 5


class VelocityParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A day's payments against the 30 days before. `z_tenths`: robust z score, in tenths."""

    history_s: ClassVar[int] = 32 * 86_400
    z_tenths: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 30
    min_days: Days = 10
    min_count: Count = 10
    floor: Money = 500_000
    over_highest_pm: Annotated[int, msgspec.Meta(ge=1_000, le=100_000)] = 2_000


class PassThroughParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A large payment in, and its value out again. `held_pm`: how much, of the payment in, the account may have kept of
    what came in the three days before."""

    history_s: ClassVar[int] = 7 * 86_400
    floor: Money = 1_000_000
    out_pm: Share = 900
    over_pm: Annotated[int, msgspec.Meta(ge=1_000, le=10_000)] = 1_100
    within_h: Hours = 24
    max_lots: Count = 16
    max_outs: Count = 10
    held_pm: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 500


class _BurstParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Far more payments than usual within some hours."""

    history_s: ClassVar[int] = 31 * 86_400
    out_pm: Share = 800
    within_h: Hours = 72
    burst_pm: Share = 600
    settled_days: Days = 30


class AccumulationParameters(_BurstParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many small payments in from many senders, `floor` or more together, and their sum out by a few."""

    below: Money = 100_000
    floor: Money = 300_000
    min_senders: Count = 10
    max_outs: Count = 5


class DispersalParameters(_BurstParameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sum in, and out again in small payments to many receivers."""

    floor: Money = 500_000
    min_receivers: Count = 10


class DormantParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A long silence, then high value out."""

    history_s: ClassVar[int] = 31 * 86_400
    silent_days: Annotated[int, msgspec.Meta(ge=30, le=3_650)] = 365
    floor: Money = 1_000_000
    within_days: Days = 7


class NewAccountParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account's first days: a large sum in, nearly all of it out."""

    history_s: ClassVar[int] = 31 * 86_400
    floor: Money = 1_000_000
    out_pm: Share = 950
    within_days: Days = 7
    settled_days: Days = 30


class SanctionsParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dealings with a listed account while it is listed. `floor` leaves dust out."""

    listed: Categories = LISTED
    floor: Money = 0
    exempt: Categories = ()


class IndirectSanctionsParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Value followed from or to a listed account over links, at most `max_hops` transfers."""

    listed: Categories = LISTED
    max_hops: Annotated[int, msgspec.Meta(ge=2, le=8)] = 5
    floor: Money = 10_000


class MixerParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dealings with a labelled mixer, and accounts that behave as a pool of fixed amounts."""

    history_s: ClassVar[int] = 8 * 86_400
    mixers: Categories = MIXERS
    min_deposits: Count = 10
    min_depositors: Count = 8
    min_receivers: Count = 3
    share_pm: Share = 800
    fee_pm: Share = 30


class PeelChainParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sum handed on from account to account, a little smaller each time."""

    min_hops: Annotated[int, msgspec.Meta(ge=3, le=15)] = 5
    keep_pm: Share = 800
    floor: Money = 500_000


class ChainHoppingParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sum carried over several chains in a short time."""

    min_chains: Annotated[int, msgspec.Meta(ge=2, le=15)] = 3
    within_h: Hours = 24
    keep_pm: Share = 970
    floor: Money = 500_000


class RoundTripParameters(Parameters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sum that comes back to an account it had left, over others."""

    min_transfers: Annotated[int, msgspec.Meta(ge=2, le=15)] = 3
    max_transfers: Annotated[int, msgspec.Meta(ge=2, le=15)] = 8
    keep_pm: Share = 900
    within_days: Days = 30
    floor: Money = 100_000


def unit_of(name: str) -> str | None:
    """Return the unit that stands at the end of the name of a parameter or a figure, None if it has none there."""
    return next((unit for ending, unit in _ENDINGS.items() if name.endswith(ending)), None)


@cache
def units_of(kind: type[Parameters]) -> dict[str, str]:
    """Return the unit of each parameter that has one, by its name: `cents` of money."""
    hints = get_type_hints(kind, include_extras=True)
    found = {one: CENTS if hints[one] == Money else unit_of(one) for one in kind.__struct_fields__}
    return {name: unit for name, unit in found.items() if unit is not None}


def read_parameters(kind: type[Parameters], document: Any) -> Parameters:
    """Return the parameters in `document`, defaults for what it leaves out. Raise `msgspec.ValidationError`."""
    return msgspec.convert(document, kind, strict=True)
