"""Append-only sequences: entries at `…/1`, `…/2` and so on, their number at `…/count`.

Hashed keys have no order; the proven count is what shows that a list is complete.
"""

from core.model.consortium import sequence_count_key, sequence_key
from local_chains.consortium.ledger.leaves import read_count, write_count
from local_chains.consortium.ledger.view import Overlay, StateView


def length(state: StateView, sequence: bytes) -> int:
    return read_count(state, sequence_count_key(sequence))


def append(state: Overlay, sequence: bytes, entry: bytes) -> int:
    """Add an entry and return its place, from 1."""
    place = length(state, sequence) + 1
    state.put(sequence_key(sequence, place), entry)
    write_count(state, sequence_count_key(sequence), place)
    return place
