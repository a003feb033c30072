"""The fewest moves of a subject at which a rule about its own moves can find anything.

Most subjects have a few moves only, for whom a rule that counts ten payments is work for nothing: it is left out as
long as they have fewer. The bound follows from the rule's definition and its parameters; one that is too low costs time
and no more.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from regulator_api.rules.catalogue import Rule

FEW_MOVES: Final = 12
"""The most moves that are kept as they are in place of a run that is made of them, about 0.4 kB each."""
_LEAST: Final[Mapping[str, Callable[[Any], int]]] = {
    # As many days before with payments, and as many payments on the day.
    "velocity": lambda p: p.min_days + p.min_count,
    # A payment in of each sender, and one out.
    "accumulation": lambda p: p.min_senders + 1,
    "dispersal": lambda p: p.min_receivers,
}


def least_moves(rule: Rule) -> int:
    """Return a number of moves below which the rule finds nothing, 1 if none is known."""
    least = _LEAST.get(rule.typology.name)
    return 1 if least is None else max(1, least(rule.parameters))
