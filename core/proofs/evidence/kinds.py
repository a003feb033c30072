"""Verifiers have a kind of trust for a name, and make a `Verified`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.model.questions import Anchor, Answer, AsOf, Evidence, Question

FINAL_BY_COMMIT: Final = "commit"
FINAL_BY_ATTESTATION: Final = "attested"


@dataclass(frozen=True, slots=True)
class Verified:
    """A proven answer. Only a verifier makes one."""

    question: Question
    answer: Answer
    as_of: AsOf


Verifier = Callable[[Evidence, Anchor, int], Verified]
