"""Every command that docs, code and `deploy/` name exists, with its options."""

import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import typer

import gateway.cli
from gateway.cli import app
from tests.test_docs import DOCS, ROOT, named, texts

for module in iter_modules(gateway.cli.__path__, "gateway.cli."):
    import_module(module.name)  # They register their commands.

PAGES = [
    path
    for path in texts()
    if path.suffix in (".md", ".service", ".yaml", ".yml") or path.name == "Containerfile"
    if path.name != "CHANGELOG.md"  # It also names commands that went.
]
FENCED = re.compile(r"^```(?:sh|console|)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:\.venv/bin/)?(?:causeway|make|python -m) [^`\n]+)`")
TARGET = re.compile(r"^([a-z][\w-]*):", re.MULTILINE)
WITHIN = re.compile(r"(?:\$\(|\| )(causeway [^()|]+)")
"""A command within another one, or behind a pipe."""
END = re.compile(r"[,;:.…]+$")


def commands(path: Path) -> list[str]:
    """The commands that a text names: lines of shell fences, and code in backticks."""
    text = path.read_text(encoding="utf-8")
    lines = [line.strip() for block in FENCED.findall(text) for line in block.replace("\\\n", "").splitlines()]
    starting = [line for line in lines if re.match(r"(?:\.venv/bin/)?(?:causeway|make|python -m) ", line)]
    starting += [found for line in lines for found in WITHIN.findall(line)]
    return [*starting, *INLINE.findall(text), *re.findall(r"exec (?:/opt/causeway/bin/)?(causeway [^'\n]+)", text)]


def words(command: str) -> list[str]:
    """The words of a command up to its comment or a `…`, without the punctuation of a sentence."""
    alone = re.sub(r" > \S+$", "", re.sub(r"\$\([^()]*\)", "0", command))
    plain = re.sub(r"\s(#|… ).*$", "", alone.replace("<", "").replace(">", "").replace("'", ""))
    found = [word for word in (END.sub("", word) for word in shlex.split(plain)) if word]
    return ["10000" if word == "N" else word for word in found]


def fault(command: str) -> str | None:
    """Return what is wrong with a command line of ours, None if it exists."""
    program, *rest = words(command)
    if program == "make":
        targets = TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8"))
        wanted = [word for word in rest if "=" not in word]
        return next((f"no target {word}" for word in wanted if word not in targets), None)
    if program == "python":
        return None if find_spec(rest[1]) else f"no module {rest[1]}"
    at: Any = typer.main.get_command(app)
    while rest and (inner := getattr(at, "commands", None)) is not None and not rest[0].startswith("-"):
        if "|" not in rest[0] and rest[0] not in inner and "make" in inner:
            at = inner["make"]  # `causeway swap 0.5 eth cnyd` is short for it.
            break
        *others, last = rest.pop(0).split("|")
        if missing := [one for one in (*others, last) if one not in inner]:
            return f"no command {missing[0]}"
        at = inner[last]
    return _wrong_arguments(at, rest, whole="…" not in command)


def _wrong_arguments(at: Any, rest: list[str], *, whole: bool) -> str | None:
    """Return what the command would say of these words; a command that is only named, or cut, may lack some."""
    known = {option for one in at.params for option in (*one.opts, *one.secondary_opts)} | {"--help", "-h"}
    options = [option.partition("=")[0] for word in rest if word.startswith("--") for option in word.split("|")]
    if unknown := [option for option in options if option not in known]:
        return f"no option {unknown[0]}"
    if not rest or not whole or not {"--help", "-h", "--version"}.isdisjoint(rest):
        return None
    try:
        at.make_context(at.name, list(rest))
    except Exception as error:
        return str(error) or type(error).__name__
    return None


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_command_that_a_page_names_exists(page: Path) -> None:
    assert [f"{command}: {wrong}" for command in commands(page) if (wrong := fault(command))] == []


def test_a_command_that_code_names_exists() -> None:
    code = [path for path in texts() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] != "tests"]
    found = [(path, command) for path in code for command in INLINE.findall(path.read_text(encoding="utf-8"))]
    assert len(found) > 10
    assert [f"{named(path)}: {command}: {wrong}" for path, command in found if (wrong := fault(command))] == []


def test_pages_that_operators_follow_have_commands() -> None:
    for page in ("operating/relayer.md", "operating/alarms.md", "consortium-chain.md"):
        assert len(commands(DOCS / page)) >= 5


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("causeway relayer run --config relayer.toml --json   # a comment", None),
        ("causeway relayer --help", None),
        ("causeway relayer start", "no command start"),
        ("causeway relayer run --daemon", "no option --daemon"),
        ("causeway verify --anchor anchor.json", "Missing parameter: file"),
        ("causeway keys new keystore.json …", None),
        ("causeway verify $(cat file) --anchor anchor.json > out.txt", None),
        ("causeway verify $(cat file) --anchr anchor.json", "no option --anchr"),
        ("make lint", None),
        ("make lnit SEEDS=3", "no target lnit"),
        ("python -m bench.ledger --flood", None),
        ("python -m bench.nothing", "no module bench.nothing"),
    ],
)
def test_a_command_line_that_does_not_exist_is_seen(command: str, wrong: str) -> None:
    assert fault(command) == wrong
