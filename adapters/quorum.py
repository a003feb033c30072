"""One quorum for every pool of endpoints: more than half of the configured operators, each of which has one voice.

Operators that do not answer count against it, however many endpoints the others have. An operator whose own endpoints
contradict each other has no voice, nor one of which some endpoint was not heard yet.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from core.model.errors import CausewayError


def size(operators: Collection[str]) -> int:
    """Return how many of these distinct operators have to say the same."""
    return len(operators) // 2 + 1


def winners(said: Sequence[tuple[str, object]], endpoints_of: Mapping[str, int]) -> list[Any]:
    """Return the answer that a quorum of operators gives in a list, or an empty one if there is none.

    `said`: operator and answer of each endpoint that was heard; an error does not count as an answer. `endpoints_of`:
    how many endpoints each configured operator has. Answers are hashable.
    """
    needed = size(endpoints_of)
    if len(said) < needed:
        return []
    heard = Counter(operator for operator, _ in said)
    voices: dict[str, set[Any]] = {}
    for operator, answer in said:
        if not isinstance(answer, CausewayError):
            voices.setdefault(operator, set()).add(answer)
    votes = Counter(
        voice.pop()
        for operator, voice in voices.items()
        if len(voice) == 1 and heard[operator] == endpoints_of[operator]
    )
    return [answer for answer, count in votes.items() if count >= needed]


def reached(said: Sequence[tuple[str, int]], endpoints_of: Mapping[str, int]) -> int | None:
    """Return the largest number that a quorum of operators reaches, None if too few answer.

    Of one operator's numbers the smallest is what all its endpoints vouch for.
    """
    least: dict[str, int] = {}
    for operator, number in said:
        least[operator] = min(number, least.get(operator, number))
    needed = size(endpoints_of)
    return sorted(least.values(), reverse=True)[needed - 1] if len(least) >= needed else None


def may_rise(said: Sequence[tuple[str, int]], endpoints_of: Mapping[str, int]) -> bool:
    """Return true if a quorum would reach a larger number once operators without any answer have one as well."""
    number, silent = reached(said, endpoints_of), {*endpoints_of} - {operator for operator, _ in said}
    if number is None or not silent:
        return False
    most = max(one for _, one in said)
    return reached([*said, *((operator, most) for operator in silent)], endpoints_of) != number
