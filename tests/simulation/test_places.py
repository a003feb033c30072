"""The places at which bugs change code, in a text of a few lines and in the list."""

import builtins
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from gateway.simulation.mutants import MUTANTS
from gateway.simulation.mutants.places import CAME_BY, changes, checking_lines, probed
from gateway.simulation.mutants.planting import Mutant, plant

TEXT = """
import functools

MOST = 3

def f(x, y=2):
    a = x
    if a > y:
        a = y
        b = 1
    elif a < y:
        b = 2
    else:
        b = 3
    for _ in range(a):
        try:
            b += 1
        except ValueError:
            b = 4
    match b:
        case 1:
            a = 5
        case _:
            a = 6
    return a + b

class C:
    size = 4

    @functools.cache
    def g(self):
        return self.size

    def h(self):
        def inner(x):
            x += 1
            return x

        return inner(self.size)

    def i(self):
        return super().__init__()
"""
INSIDE = [
    pytest.param("b = 1", "b = 7", ["b = 1"], id="a-statement"),
    pytest.param("b = 2", "b = 7", ["b = 2"], id="behind-another-condition"),
    pytest.param("    else:\n        b = 3\n", "", ["if a < y:"], id="a-block-that-goes"),
    pytest.param("elif a < y:", "elif a <= y:", ["if a < y:"], id="a-condition"),
    pytest.param("        a = y\n        b = 1", "        b = 1", ["a = y"], id="a-statement-that-goes"),
    pytest.param("        b = 1\n", "        b = 1\n        a = 0\n", ["b = 1"], id="one-more-at-the-end"),
    pytest.param("    match b:", "    a = 0\n    match b:", ["match b:"], id="one-more-before-another"),
    pytest.param("b = 4", "b = 7", ["b = 4"], id="an-error"),
    pytest.param("except ValueError", "except TypeError", ["try:"], id="what-is-caught"),
    pytest.param("a = 6", "a = 7", ["a = 6"], id="a-case"),
    pytest.param("case 1:", "case 2:", ["match b:"], id="a-pattern"),
    pytest.param("    a = x\n", "    a = x\n    z = 0\n", ["a = x"], id="another-name"),
    pytest.param("return a + b", "return (yield a)", ["a = x"], id="another-kind-of-function"),
    pytest.param("return self.size", "return 0", ["return self.size"], id="a-method"),
    pytest.param("x += 1", "x += 2", ["x += 1"], id="a-function-inside"),
    pytest.param("        def inner(x):", "        def inner(x, *y):", ["def inner(x):"], id="its-signature"),
]
BEYOND = [
    pytest.param("MOST = 3", "MOST = 4", id="a-name-of-the-module"),
    pytest.param("y=2", "y=3", id="a-default"),
    pytest.param("size = 4", "size = 5", id="a-name-of-a-class"),
    pytest.param("@functools.cache\n    def g", "def g", id="a-decorator"),
    pytest.param("return super().__init__()", "return None", id="what-is-bound"),
    pytest.param("import functools", "import functools as functools", id="an-import"),
]


@pytest.fixture
def path(tmp_path: Path) -> str:
    written = tmp_path / "room.py"
    written.write_text(TEXT)
    return str(written)


@pytest.mark.parametrize(("old", "new", "expected"), INSIDE)
def test_run_has_to_come_to_where_a_bug_begins(path: str, old: str, new: str, expected: list[str]) -> None:
    [change] = changes(plant("bug", "It does harm.", path, old, new)) or ()
    lines = TEXT.splitlines()
    found = [lines[line - 1][column:].replace("elif", "if") for line, column in sorted(change.places)]
    assert found == expected
    [(code, other)] = change.codes
    assert code.co_name == other.co_name
    assert code != other


@pytest.mark.parametrize(("old", "new"), BEYOND)
def test_what_is_settled_at_import_is_more_than_code(path: str, old: str, new: str) -> None:
    assert changes(plant("bug", "It does harm.", path, old, new)) is None


@pytest.mark.parametrize(
    ("given", "result", "expected"),
    [(1, 6 + 2 + 1, {"loop", "condition"}), (3, 6 + 1 + 2, {"loop", "block"}), (0, 6 + 2, {"condition"})],
)
def test_probes_say_where_a_run_came_by(
    path: str, given: int, result: int, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {
        name: set(change.places)
        for name, old, new in [
            ("block", "b = 1", "b = 7"),
            ("condition", "elif a < y:", "elif a <= y:"),
            ("loop", "b += 1", "b += 2"),
            ("error", "b = 4", "b = 7"),
        ]
        for change in changes(plant(name, "It does harm.", path, old, new)) or ()
    }
    names = {
        place: {name for name, those in places.items() if place in those} for place in set().union(*places.values())
    }
    [(code, other)] = probed(path, names)
    came_by: set[str] = set()
    monkeypatch.setattr(builtins, CAME_BY, came_by.add, raising=False)
    function: Callable[..., Any] = FunctionType(code, {"range": range}, argdefs=(2,))
    assert function(given) == result
    assert came_by == set()
    function.__code__ = other
    assert function(given) == result
    assert came_by == expected


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_bugs_change_code_and_have_a_place(mutant: Mutant) -> None:
    found = changes(mutant)
    assert found is None or {one.path for one in found} == {edit.path for edit in mutant.edits}
    assert all(one.codes and one.places for one in found or ())


def test_lines_of_a_module_s_checks(tmp_path: Path) -> None:
    file = tmp_path / "checked.py"
    file.write_text("require(a)\nb = require(a)\nrequire(\n    f(a)\n)\nf(a)\n\ndef g():\n    require(a)\n")
    assert checking_lines(str(file)) == {1, 3, 4, 5}
