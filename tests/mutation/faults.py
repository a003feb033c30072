"""The faults: each is one small change of a module's syntax tree, with a text that survives edits elsewhere.

    comparisons   < and <=, > and >=, == and !=, is, in        constants   ints ± 1, True/False, the last bit of bytes
    arithmetic    + and -, * and //, shifts, bits              results     a computed value becomes None
    booleans      and/or, an operand less, a `not` less        statements  calls, raises, jumps, stores, cases dropped
    conditions    of if, while and comprehensions: negated

Words of messages, annotations and docstrings stay, and so does all that runs as a module is imported: the numbers
there are choices, which assertions relate to each other, or come from a standard, whose vectors hold them.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

CONTEXT: Final = 50
"""Characters of a statement that a fault's text shows on either side of the change."""

_OPERATORS: Final[dict[type[ast.AST], type[ast.AST]]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd,
}  # fmt: skip
_OPPOSITES: Final = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
"""Comparisons that the change of their operator negates."""
_CONDITIONS: Final = {(ast.If, "test"), (ast.While, "test"), (ast.IfExp, "test"), (ast.comprehension, "ifs")}
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_UNTOUCHED: Final = {"annotation", "returns", "pattern", "ctx"}


@dataclass(frozen=True, slots=True)
class Fault:
    """One change in a function. `place` is its name, with its class; `lines` are those of the changed part."""

    module: str
    place: str
    text: str
    lines: range

    @property
    def key(self) -> str:
        """How the list of explained survivors names it."""
        return f"{self.module} {self.place} | {self.text}"


def faults(module: str, tree: ast.Module) -> Iterator[Fault]:
    """Each fault of this tree in turn, always in the same order. While one is out, the tree has it."""
    seen = Counter[tuple[str, str]]()
    for place, function in _functions(tree, ""):
        for text, lines in _walk(function, function):
            seen[place, text] += 1
            same = seen[place, text]
            yield Fault(module, place, text if same == 1 else f"{text} #{same}", lines)


def _functions(node: ast.Module | ast.ClassDef, place: str) -> Iterator[tuple[str, ast.AST]]:
    for child in node.body:
        match child:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield place + name, child
            case ast.ClassDef(name=name):
                yield from _functions(child, f"{place}{name}.")


def _walk(node: ast.AST, line: ast.AST) -> Iterator[tuple[str, range]]:
    fields = [("body", node.body)] if isinstance(node, _FUNCTIONS) else list(ast.iter_fields(node))
    for field, value in fields:
        for index, child in list(enumerate(value)) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or field in _UNTOUCHED or isinstance(child, ast.JoinedStr):
                continue
            own = child if isinstance(child, (ast.stmt, ast.match_case)) else line
            at = child if hasattr(child, "lineno") else node
            for new in _changed(child, node, field):
                before = _first_line(own)
                _put(node, field, index, new)
                after = "" if isinstance(new, ast.Pass) else _first_line(new if own is child else own)
                yield _difference(before, after), range(at.lineno, at.end_lineno + 1)  # type: ignore[attr-defined]
                _put(node, field, index, child)
            yield from _walk(child, own)


def _put(node: ast.AST, field: str, index: int | None, child: ast.AST) -> None:
    ast.fix_missing_locations(ast.copy_location(child, node))
    if index is None:
        setattr(node, field, child)
    else:
        getattr(node, field)[index] = child


def _changed(child: ast.AST, node: ast.AST, field: str) -> Iterator[ast.AST]:
    if type(child) in _OPERATORS:
        yield _OPERATORS[type(child)]()
    if (type(node), field) in _CONDITIONS and isinstance(child, ast.expr) and not _has_its_opposite(child):
        yield ast.UnaryOp(ast.Not(), child)
    match child:
        case ast.BoolOp(op=op, values=values):
            for one in values:
                rest = [other for other in values if other is not one]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.Constant(value=bytes(value)):
            yield ast.Constant(value[:-1] + bytes([value[-1] ^ 1]) if value else b"\0")
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.match_case(pattern=pattern, body=body):
            yield ast.match_case(pattern, ast.Constant(False), body)
        case ast.Expr(value=value) if not isinstance(value, ast.Constant):
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.Return(value=None):
            yield ast.Pass()
        case ast.AugAssign() | ast.Raise() | ast.Break() | ast.Continue() | ast.Delete():
            yield ast.Pass()


def _has_its_opposite(test: ast.expr) -> bool:
    """Return true if another fault negates this condition, or none can."""
    if isinstance(test, ast.Compare):
        return len(test.ops) == 1 and isinstance(test.ops[0], _OPPOSITES)
    return isinstance(test, (ast.UnaryOp, ast.Constant))


def _first_line(node: ast.AST) -> str:
    return next(line for line in ast.unparse(node).splitlines() if line and not line.startswith("@"))


def _difference(before: str, after: str) -> str:
    if not after:
        return f"{before[: 2 * CONTEXT]} [dropped]"
    old, new = (re.findall(r"\w+|\s|[^\w\s]+", text) for text in (before, after))
    head = len([*takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False))])
    tail = len([*takewhile(lambda pair: pair[0] == pair[1], zip(old[head:][::-1], new[head:][::-1], strict=False))])
    left, right = "".join(old[:head]), "".join(old[len(old) - tail :])
    changed = (_short("".join(tokens[head : len(tokens) - tail])) for tokens in (old, new))
    return f"{left if len(left) <= CONTEXT else '…' + left[-CONTEXT:]}[{' → '.join(changed)}]{_short(right)}"


def _short(text: str) -> str:
    return text if len(text) <= CONTEXT else text[:CONTEXT] + "…"
