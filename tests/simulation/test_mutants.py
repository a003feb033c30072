"""The measure of the simulation: planted bugs stand in the code as it is, and some of them are noticed at once."""

from collections.abc import Iterator

import pytest

from gateway.simulation.mutants import MUTANTS, ROOT, replaced
from gateway.simulation.mutants.planting import Mutant
from gateway.simulation.mutants.run import NO_HARM, Clean, found_by, known_seeds
from tests.support import LONG

SEEDS = 200 if LONG else 12
AT_ONCE = (
    *("any-terms-will-do", "claim-never", "fund-without-F", "funding-on-an-unfinal-lock", "gap-without-R"),
    *("provider-never-funds", "quote-without-U", "refund-never", "reveal-on-an-unfinal-lock", "reveal-without-2I"),
)
"""A bug in each step of a swap, found by its kept seed."""


@pytest.fixture(scope="module")
def clean() -> Iterator[Clean]:
    """A player of the seeds without a mutant: each is played once for all of them."""
    made = Clean()
    yield made
    made.close()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_s_text_stands_in_the_code_once(mutant: Mutant) -> None:
    for edit in mutant.edits:
        made = replaced((ROOT / edit.path).read_text(encoding="utf-8"), edit)
        compile(made, edit.path, "exec")
        assert edit.old != edit.new
    assert mutant.harm.endswith(".")


def test_mutants_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 48


def test_seeds_are_kept_of_mutants_that_there_are() -> None:
    assert set(known_seeds()) <= {mutant.name for mutant in MUTANTS}


def test_the_page_says_how_many_are_found() -> None:
    page = (ROOT / "docs" / "internals" / "simulation.md").read_text(encoding="utf-8")
    assert f"Of the {len(MUTANTS)} bugs in the list {len(known_seeds())} have a seed" in page


@pytest.mark.long
@pytest.mark.endurance
@pytest.mark.parametrize("mutant", [one for one in MUTANTS if LONG or one.name in AT_ONCE], ids=lambda one: one.name)
def test_the_simulation_notices(mutant: Mutant, clean: Clean) -> None:
    result = found_by(mutant, range(SEEDS), clean)
    assert result.seed is not None
    assert result.kind not in NO_HARM
    assert result.problem
