"""Verifiers have a kind of trust for a name, and make a `Verified`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from core.model.beacon import BeaconAnchor
from core.model.questions import Anchor, Answer, AsOf, Evidence, Question

FINAL_BY_COMMIT: Final = "commit"
FINAL_BY_ATTESTATION: Final = "attested"
FINAL_BY_SYNC_COMMITTEE: Final = "sync-committee"
FINAL_BY_BOTH: Final = f"{FINAL_BY_ATTESTATION}+{FINAL_BY_SYNC_COMMITTEE}"


@dataclass(frozen=True, slots=True)
class Anchors:
    """Both grounds that a reader may stand on: a consortium chain's header, and a beacon block of Ethereum's."""

    ledger: Anchor
    beacon: BeaconAnchor


Trusted = Anchor | BeaconAnchor | Anchors


def ledger_anchor(trusted: Trusted) -> Anchor | None:
    """The anchor of a consortium chain, if the reader has one."""
    if isinstance(trusted, Anchors):
        return trusted.ledger
    return trusted if isinstance(trusted, Anchor) else None


def beacon_anchor(trusted: Trusted) -> BeaconAnchor | None:
    """The anchor of a beacon chain, if the reader has one."""
    if isinstance(trusted, Anchors):
        return trusted.beacon
    return trusted if isinstance(trusted, BeaconAnchor) else None


@dataclass(frozen=True, slots=True)
class Verified:
    """A proven answer. Only a verifier makes one.

    `relies_on`: which of the rules in `as_of.finality` were checked from the reader's own anchors; evidence may carry
    more than a reader has anchors for. Verifiers of other kinds may leave it empty.
    """

    question: Question
    answer: Answer
    as_of: AsOf
    relies_on: tuple[str, ...] = ()


Verifier = Callable[[Evidence, Trusted, int], Verified]
