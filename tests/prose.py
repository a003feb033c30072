"""`python -m tests.prose [--counts]`: words that our English avoids, in docs, docstrings, comments and messages.

Each rule names what to write instead. A line that has to say such a word (a quotation, another program's
output) ends with `prose: ok`.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
ROOMS: Final = (
    *(
        "core",
        "adapters",
        "htlc",
        "queries",
        "indexer",
        "local_chains",
        "relayer",
        "regulator_api",
        "gateway",
        "bench",
        "tests",
    ),
)
MAX_TEST_NAME: Final = 60
EXEMPT: Final = "prose: ok"


@dataclass(frozen=True, slots=True)
class Rule:
    """Text that `pattern` finds is reported with what to write `instead`."""

    name: str
    pattern: re.Pattern[str]
    instead: str


def _rule(name: str, pattern: str, instead: str) -> Rule:
    return Rule(name, re.compile(pattern, re.IGNORECASE), instead)


WORDS: Final = (
    _rule("tell", r"\b(tell|tells|told|telling|untold)\b", "report, show, notify, say or distinguish"),
    _rule("anew", r"\banew\b", "again, or recomputed"),
    _rule("beside", r"\bbesides?\b", "next to, or also"),
    _rule("is no", r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b)[a-z]", "is not a …, or there is no …"),
    _rule("is none", r"\b(that|which|what) (is|are) none\b", "malformed, invalid, or what it is not"),
    _rule("he", r"\b(he|his|him|himself)\b", "they, their, or the role's name"),
    _rule(
        "where for if",
        r"\b(none|null|true|false|even|only|also|fails?|skips?) where\b|\bwhere (none|needed|given|possible)\b",
        "if",
    ),
    _rule(
        "so many",
        r"\b(after|for|from|in|least|most|of|than|to|while) so (few|long|many|much|often)\b"
        r"|^\W*so (long|many|much|often)\b",
        "this many, or a noun: the most …, seconds after which …",
    ),
    _rule("module's text", r"\bthe module's text\b", "say it here, or name the page"),
)
_CODE: Final = re.compile(r"\{[^{}\n]*\}")
"""An expression in an f-string."""
OPENING: Final = re.compile(r"\s*(What|Whether|Where|Raises|Returns)\b")
OPENING_INSTEAD: Final = "a docstring opens with 'Return …', 'Raise …' or its subject"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule, broken at a line of a file."""

    path: Path
    line: int
    rule: str
    text: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.rule}: {self.text!r}: write {self.instead}"


def findings() -> Iterator[Finding]:
    """Every broken rule of the repository."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield from in_python(path)
    for path in (
        *sorted(ROOT.glob("*.md")),
        *sorted(ROOT.glob("changelog.d/*.md")),
        *sorted(ROOT.glob("docs/**/*.md")),
    ):
        if path.name not in ("CHANGELOG.md", "glossary.md"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield from _words(path, number, line)


def in_python(path: Path) -> Iterator[Finding]:
    """The broken rules of one module: of its comments, strings, docstrings and the names of its tests."""
    source = path.read_text(encoding="utf-8")
    if path == Path(__file__):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or token.type == getattr(tokenize, "FSTRING_MIDDLE", -1):
            for offset, line in enumerate(_CODE.sub("", token.string).splitlines()):
                if EXEMPT not in token.line:
                    yield from _words(path, token.start[0] + offset, line)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            if OPENING.match(node.value.value):
                opening = node.value.value.strip().split("\n")[0][:40]
                yield Finding(path, node.lineno, "opening", opening, OPENING_INSTEAD)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _too_long(node.name):
            yield Finding(path, node.lineno, "test name", node.name, f"at most {MAX_TEST_NAME} characters")


def _too_long(name: str) -> bool:
    return name.startswith("test_") and len(name) > MAX_TEST_NAME


def _words(path: Path, number: int, line: str) -> Iterator[Finding]:
    for rule in WORDS:
        if EXEMPT not in line and (found := rule.pattern.search(line)):
            yield Finding(path, number, rule.name, found.group(), rule.instead)


def main() -> None:
    found = list(findings())
    if "--counts" in sys.argv:
        for name, count in Counter(one.rule for one in found).most_common():
            print(f"{count:5}  {name}")
    else:
        for one in found:
            print(one)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
