"""The light client against the consensus specifications' own vectors."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import consensus_vectors as vectors

RUN: dict[str, Callable[[Path], int]] = {
    "sync": vectors.run_sync,
    "update_ranking": vectors.run_ranking,
    "single_merkle_proof": vectors.run_branch,
}


@pytest.mark.parametrize("handler", RUN)
def test_vectors_of_the_specification_all_agree(handler: str) -> None:
    cases = vectors.cases(handler)
    if not cases:
        pytest.skip(f"no vectors in {vectors.FOLDER}: name their folder with CAUSEWAY_CONSENSUS_VECTORS")
    for case in cases:
        assert RUN[handler](case) > 0, case
