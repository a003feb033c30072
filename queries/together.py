"""Several questions in one request, answered as of one height per chain.

Answers that are read together have to be true at the same time: a balance and a record of the same chain are as of
the same block. Logs are as of their own blocks, since what is final there does not change.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from core.model.errors import CausewayError, RejectedError
from core.model.ports import Prover
from core.model.questions import LASTING, Evidence
from core.model.types import ChainId, Height
from core.model.uris import Asked

MAX_TOGETHER: Final = 16
"""Questions of one request."""

Answered = Evidence | CausewayError
"""Evidence, or why there is none."""


async def ask_together(prover: Prover, asked: Sequence[Asked], trusted: Height | None = None) -> list[Answered]:
    """Answer the questions in their order; one that cannot be proven has its error in its place.

    `trusted` is the height of the verifier's anchor, None for the prover's own. Raise `RejectedError` for no or too
    many questions, and for questions about one chain at different heights.
    """
    heights = check_together(asked)
    answers: dict[int, Answered] = {}

    async def chain(name: ChainId) -> None:
        places = [place for place, one in enumerate(asked) if one.question.chain == name]
        height = heights.get(name)
        state = [place for place in places if not _has_own_height(asked[place])]
        while state and height is None:
            first = state.pop(0)
            found = answers[first] = await _prove(prover, asked[first], None, trusted)
            if isinstance(found, Evidence):
                height = found.as_of.block.height
        rest = [*state, *(place for place in places if _has_own_height(asked[place]))]
        found_rest = await asyncio.gather(
            *(
                _prove(prover, asked[place], asked[place].at if _has_own_height(asked[place]) else height, trusted)
                for place in rest
            )
        )
        answers.update(zip(rest, found_rest, strict=True))

    await asyncio.gather(*(chain(name) for name in dict.fromkeys(one.question.chain for one in asked)))
    return [answers[place] for place in range(len(asked))]


def check_together(asked: Sequence[Asked]) -> Mapping[ChainId, Height]:
    """Return the height of each chain for which a question names one. Raise `RejectedError` as `ask_together` does."""
    if not 0 < len(asked) <= MAX_TOGETHER:
        raise RejectedError(f"a request has 1 to {MAX_TOGETHER} questions, not {len(asked)}: split it")
    heights: dict[ChainId, Height] = {}
    for one in asked:
        if one.at is None or _has_own_height(one):
            continue
        other = heights.setdefault(one.question.chain, one.at)
        if other != one.at:
            raise RejectedError(
                f"questions about {one.question.chain} at {other} and at {one.at}: one request is answered as of one "
                "height per chain, so send two"
            )
    return heights


def _has_own_height(asked: Asked) -> bool:
    return isinstance(asked.question, LASTING)


async def _prove(prover: Prover, asked: Asked, at: Height | None, trusted: Height | None) -> Answered:
    try:
        return await prover.prove(asked.question, at, trusted=trusted)
    except CausewayError as error:
        return error
