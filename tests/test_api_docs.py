"""The pages of both APIs list every path, and every problem that a relayer's API can answer with."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.model import errors
from core.runtime.web import problem_of

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/dapps/api.md"
ROW = re.compile(r"^\| ((?:`[a-z-]+`(?:, )?)+) \| ([\d, ]+) \| .+ \|$", re.MULTILINE)
NOT_FOR_CALLERS = {"unhealthy", "not-ready", "client-left", "unauthorized", "scope-missing"}
"""`/healthz` and `/readyz` are the operator's; a client that has left reads nothing; a relayer's API takes no keys."""


NAMED = re.compile(r"^\| `([A-Z]+) (/v1/[^`]*)`", re.MULTILINE)


@pytest.mark.parametrize(("page", "room"), [("dapps/api.md", "relayer/api"), ("supervising/api.md", "regulator_api")])
def test_a_page_lists_the_paths_of_its_api(page: str, room: str) -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / room).rglob("*.py")))
    calls = re.findall(r'\(\s*"(GET|POST|DELETE)",\s*f?"(/v1/[^"]*)"', sources)
    served = {(method, re.sub(r"\{+(\w+):?[^/]*", r"{\1}", path)) for method, path in calls}
    assert len(served) > 8
    assert set(NAMED.findall((ROOT / "docs" / page).read_text(encoding="utf-8"))) == served


def documented() -> dict[str, set[int]]:
    """The statuses that the page gives each problem."""
    section = PAGE.read_text(encoding="utf-8").partition("## Problems")[2]
    return {
        name: {int(status) for status in statuses.split(", ")}
        for names, statuses in ROW.findall(section)
        for name in re.findall(r"[a-z-]+", names)
    }


def made() -> Iterator[tuple[int, str]]:
    """Status and kind of each `Problem` that the web's rooms and the relayer's API make themselves."""
    for folder in ("core/runtime/web", "relayer/api"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Name(id="Problem"),
                        args=[ast.Constant(value=int(status)), ast.Constant(value=str(kind)), *_],
                    ):
                        yield status, kind


def raised() -> Iterator[tuple[int, str]]:
    """Status and kind of each error of ours that a caller may meet."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CausewayError)
    ]
    for kind in kinds:
        if kind is not errors.CausewayError and not issubclass(kind, errors.FatalError):
            problem = problem_of(kind("for this test"))
            yield problem.status, problem.kind


def test_every_problem_of_the_api_is_in_its_docs() -> None:
    page = documented()
    answers = {(status, kind) for status, kind in (*made(), *raised()) if kind not in NOT_FOR_CALLERS}
    assert len(answers) > 20
    assert {(status, kind) for status, kind in answers if status not in page.get(kind, ())} == set()


def test_a_problem_in_the_docs_exists() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8")
        for room in ("core", "htlc", "queries", "relayer")
        for path in (ROOT / room).rglob("*.py")
    )
    assert 'f"invalid-{part}"' in sources
    written = {kind.replace("invalid-body", "invalid-{part}") for kind in documented()}
    assert [kind for kind in written if f'"{kind}"' not in sources] == []
