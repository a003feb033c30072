"""Offences of validators: CometBFT reports them with a block, and the ledger writes them down for ever.

Evidence lives in blocks, which may be pruned; the list `members/misbehaviour` is provable, and the event reaches
whoever follows the chain. The ledger judges nobody by itself: members vote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from core.model.consortium import encode_leaf, sequence_key
from core.model.consortium_members import MISBEHAVIOUR, ORGANISATIONS, MisbehaviourLeaf, MisbehaviourSeen
from core.proofs.cometbft.types import KeyKind, PublicKey
from local_chains.consortium.ledger.members import organisation_called
from local_chains.consortium.ledger.sequences import append, length
from local_chains.consortium.ledger.view import Overlay, StateView

KINDS: Final = {1: "duplicate-vote", 2: "light-client-attack"}
"""CometBFT's MisbehaviorType (`proto/tendermint/abci/types.proto`)."""
MAX_PER_BLOCK: Final = 4_096
"""More than the 1 MiB of evidence that a block may have."""


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """As CometBFT reports it: `validator` is a consensus address, `power` what it had at `height`, of `total`."""

    kind: int
    validator: bytes
    power: int
    height: int
    time_ms: int
    total: int


def record_misbehaviour(state: Overlay, found: Sequence[Misbehaviour]) -> tuple[MisbehaviourSeen, ...]:
    """Write down what a block reports, and return the events."""
    events = []
    names = _names(state) if found else {}
    for one in found[:MAX_PER_BLOCK]:
        kind, name = KINDS.get(one.kind, "other"), names.get(one.validator, "")
        numbers = max(0, one.height), max(0, one.time_ms), max(0, one.power), max(0, one.total)
        append(state, MISBEHAVIOUR, encode_leaf(MisbehaviourLeaf(kind, one.validator, name, *numbers)))
        events.append(MisbehaviourSeen(kind, one.validator, name, *numbers))
    return tuple(events)


def _names(state: StateView) -> dict[bytes, str]:
    """The organisations with a consensus key, by its address."""
    found = {}
    for place in range(1, length(state, ORGANISATIONS) + 1):
        name = state.get(sequence_key(ORGANISATIONS, place)) or b""
        terms = organisation_called(state, name.decode())
        if terms is not None and terms.power:
            found[PublicKey(KeyKind(terms.key_kind), terms.key).address] = terms.name
    return found
