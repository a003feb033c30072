"""The places of bugs: the functions that get other code, and the statements that a run has to come to first.

A bug inside of functions can be put into a process that has imported them: they get the code of the edited text. What
else it changes (a name of a module, a class, a signature) was settled at import.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType
from typing import Final

from gateway.simulation.mutants.planting import ROOT, Mutant, replaced

CAME_BY: Final = "__came_by__"
"""The name that a probe calls, with the name of each bug whose place it stands at."""

Place = tuple[int, int]
"""The line and the column at which a statement begins."""
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Change:
    """The changes that a bug makes inside of the functions of the file at `path`.

    `codes`: pairs of a function's code as it is, and with the bug. Nothing is different before a run comes to one of
    `places`, which are statements of the file as it is.
    """

    path: str
    codes: tuple[tuple[CodeType, CodeType], ...]
    places: frozenset[Place]


def changes(mutant: Mutant) -> tuple[Change, ...] | None:
    """Return what a bug does to each file, or None if it changes more than what functions do."""
    texts: dict[str, str] = {}
    for edit in mutant.edits:
        texts[edit.path] = replaced(texts.get(edit.path, _source(edit.path)), edit)
    found = [_change(path, text) for path, text in texts.items()]
    whole = tuple(one for one in found if one is not None)
    return whole if len(whole) == len(found) else None


def probed(path: str, places: Mapping[Place, Set[str]]) -> Iterator[tuple[CodeType, CodeType]]:
    """Yield pairs of the code of a file's functions as it is, and with a probe before the statement at each place,
    which calls `CAME_BY` with the names that are given for it."""
    tree = ast.parse(_source(path))
    for node in ast.walk(tree):
        for name, block in _blocks(node):
            probes = [(statement, sorted(places.get(_place(statement), ()))) for statement in block]
            setattr(node, name, [one for statement, names in probes for one in (*map(_probe, names), statement)])
    with_probes = _codes(compile(tree, str(ROOT / path), "exec"))
    for key, code in _as_it_is(path).codes.items():
        if code != with_probes[key]:
            yield code, with_probes[key]


@cache
def checking_lines(path: str) -> frozenset[int]:
    """Return the lines on which the body of the module in this file checks something by `require`."""
    body = ast.parse(Path(path).read_text(encoding="utf-8")).body
    calls = [one.value for one in body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)]
    checks = [one for one in calls if isinstance(one.func, ast.Name) and one.func.id == "require"]
    return frozenset(line for one in checks for line in range(one.lineno, (one.end_lineno or one.lineno) + 1))


@dataclass(frozen=True, slots=True)
class _Text:
    """The functions of a text, with their code by first line and name; those inside of others are left out. `around`:
    all but what they do."""

    functions: tuple[_Function, ...]
    codes: Mapping[tuple[int, str], CodeType]
    around: str


def _change(path: str, text: str) -> Change | None:
    before, after = _as_it_is(path), _read(path, text)
    if before.around != after.around:
        return None
    codes, places = list[tuple[CodeType, CodeType]](), set[Place]()
    for old, new in zip(before.functions, after.functions, strict=True):
        if ast.dump(old) == ast.dump(new):
            continue
        code, other = before.codes[_key(old)], after.codes[_key(new)]
        if code.co_freevars != other.co_freevars:
            return None
        codes.append((code, other))
        # With other names of its own a function may differ from its first step on.
        first = _differences(old.body, new.body) if _scopes(code) == _scopes(other) else old.body[:1]
        places.update(map(_place, first))
    return Change(path, tuple(codes), frozenset(places))


def _source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def _as_it_is(path: str) -> _Text:
    return _read(path, _source(path))


def _read(path: str, text: str) -> _Text:
    tree = ast.parse(text)
    codes = _codes(compile(tree, str(ROOT / path), "exec"))
    functions = tuple(_outermost(tree.body))
    bodies = [function.body for function in functions]
    for function in functions:
        function.body = []
    around = ast.dump(tree)
    for function, body in zip(functions, bodies, strict=True):
        function.body = body
    return _Text(functions, codes, around)


def _outermost(block: Sequence[ast.stmt]) -> Iterator[_Function]:
    for statement in block:
        if isinstance(statement, _Function):
            yield statement
        else:
            for _, inner in (block for part in _parts(statement) for block in _blocks(part)):
                yield from _outermost(inner)


def _key(function: _Function) -> tuple[int, str]:
    return min(one.lineno for one in (function, *function.decorator_list)), function.name


def _codes(code: CodeType) -> dict[tuple[int, str], CodeType]:
    """The functions of a module's code, and of its classes."""
    found: dict[tuple[int, str], CodeType] = {}
    for one in code.co_consts:
        if isinstance(one, CodeType):
            is_class = not one.co_flags & CO_OPTIMIZED
            found |= _codes(one) if is_class else {(one.co_firstlineno, one.co_name): one}
    return found


def _scopes(code: CodeType) -> tuple[object, ...]:
    """The kind of a function and the names that are its own, and the same of those inside of it."""
    inner = (_scopes(one) for one in code.co_consts if isinstance(one, CodeType))
    return code.co_flags, code.co_varnames, code.co_cellvars, code.co_freevars, *inner


def _differences(old: Sequence[ast.stmt], new: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements of a block as it is: nothing is done otherwise before a run comes to one of them."""
    same = [ast.dump(one) == ast.dump(other) for one, other in zip(old, new, strict=False)]
    if len(old) == len(new):
        for number in (number for number, alike in enumerate(same) if not alike):
            yield from _inside(old[number], new[number])
    else:  # whatever comes behind the last statement comes behind its beginning, too
        yield old[min([*same, False].index(False), len(old) - 1)]


def _inside(old: ast.stmt, new: ast.stmt) -> Iterator[ast.stmt]:
    """The differences in the blocks of a statement, or the statement itself if it differs around them."""
    blocks, others = ([block for part in _parts(one) for block in _blocks(part)] for one in (old, new))
    if not blocks or _header(old) != _header(new):
        yield old
        return
    for (_, block), (_, other) in zip(blocks, others, strict=True):
        yield from _differences(block, other)


def _header(statement: ast.stmt) -> tuple[str, list[list[str]]]:
    """A statement without its blocks, and which of them it has."""
    hollow = deepcopy(statement)
    names = [[name for name, _ in _blocks(part)] for part in _parts(hollow)]
    for part in _parts(hollow):
        for name, _ in _blocks(part):
            setattr(part, name, [])
    return ast.dump(hollow), names


def _parts(statement: ast.stmt) -> Sequence[ast.AST]:
    """Whatever has blocks in a statement: itself, what it does with errors, and its cases."""
    return statement, *getattr(statement, "handlers", ()), *getattr(statement, "cases", ())


def _blocks(node: ast.AST) -> list[tuple[str, list[ast.stmt]]]:
    """The blocks of a node by their names, those alone that have statements."""
    fields = ((name, value) for name, value in ast.iter_fields(node) if isinstance(value, list) and value)
    return [(name, value) for name, value in fields if isinstance(value[0], ast.stmt)]


def _place(statement: ast.stmt) -> Place:
    return statement.lineno, statement.col_offset


def _probe(name: str) -> ast.stmt:
    return ast.parse(f"{CAME_BY}({name!r})").body[0]
