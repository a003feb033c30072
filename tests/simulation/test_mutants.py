"""The measure of the simulation: planted bugs stand in the code as it is, and some of them are noticed at once."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.simulation.campaign import mixed
from gateway.simulation.mutants import MUTANTS, ROOT, replaced
from gateway.simulation.mutants.forking import MODULE
from gateway.simulation.mutants.notes import Note, Notes
from gateway.simulation.mutants.planting import Mutant
from gateway.simulation.mutants.run import NO_HARM, Players, known_seeds
from gateway.simulation.plan import SMALL_TOWNS
from gateway.simulation.verdict.problem import Kind
from tests.support import LONG

SEEDS = mixed(200)
AT_ONCE = (
    *("any-terms-will-do", "claim-never", "fund-without-F", "funding-on-an-unfinal-lock", "gap-without-R"),
    *("provider-never-funds", "quote-without-U", "refund-never", "reveal-on-an-unfinal-lock", "reveal-without-2I"),
)
"""A bug in each step of a swap, found by its kept seed."""


@pytest.fixture(scope="module")
def players() -> Iterator[Players]:
    """Players of the seeds, with a mutant and without any."""
    made = Players()
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
def test_the_simulation_notices(mutant: Mutant, players: Players) -> None:
    result = players.found_by(mutant, SEEDS)
    assert result.seed is not None
    assert result.kind not in NO_HARM
    assert result.problem


@pytest.mark.long
@pytest.mark.parametrize("name", ["claim-never", "gap-without-R", "rise-of-one-per-cent"])
def test_code_in_a_fork_does_what_an_edited_text_does(name: str, players: Players) -> None:
    [mutant], seed = [one for one in MUTANTS if one.name == name], SMALL_TOWNS
    command = [sys.executable, "-m", MODULE, json.dumps([seed, name])]
    imported = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    with players.one() as player:
        found = player.problems(seed, mutant)
    assert found == [(Kind(kind), text) for kind, text in json.loads(imported.stdout)["problems"]]
    assert bool(found) == (name != "rise-of-one-per-cent")


@pytest.mark.long
def test_seeds_that_pass_a_bug_by_are_not_played(players: Players) -> None:
    """This town has no ledger, and its swaps come to their ends."""
    [absent] = [one for one in MUTANTS if one.name == "ledger-takes-any-signature"]
    result = players.found_by(replace(absent, name="unknown"), [SMALL_TOWNS])
    assert (result.seed, result.played, result.passed_by) == (None, 0, 1)


def test_notes_are_made_once_for_all(tmp_path: Path) -> None:
    made, older = list[int](), tmp_path / "older"
    older.mkdir()
    note = Note(frozenset({Kind.TRACE_REFUSED}), frozenset({MUTANTS[0].mark}))

    def play(seed: int) -> Note:
        made.append(seed)
        return note

    notes = Notes(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda seed: notes.of(seed, play), [1, 2, 1, 2])] == [note] * 4
    assert Notes(tmp_path).of(2, play) == note
    assert sorted(made) == [1, 2]
    assert not older.exists()
    assert [note.is_passed_by(one) for one in MUTANTS[:2]] == [True, False]


def test_a_note_that_cannot_be_made_fails_whoever_asks(tmp_path: Path) -> None:
    def play(seed: int) -> Note:
        raise RuntimeError(f"seed {seed} cannot be played without a mutant")

    notes = Notes(tmp_path)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="seed 7 cannot be played"):
            notes.of(7, play)
