"""The part of TLA+ that `docs/spec` is written in, read and evaluated: for a replay that needs no Java.

A specification is read from its own text, so that there is one model and not two; `make spec-traces` holds what is made
of it here against TLC. The language is Lamport's "Specifying Systems", part IV, less what the specification has no use
for: no temporal operators (definitions that use them are not read), no recursion, no nested EXCEPT, no `@`.

Sets are frozensets (or ranges), functions and records are dicts, sequences are tuples, strings, numbers and truth
values are Python's. An action is evaluated as TLC does it: conjuncts from left to right, `x' = e` assigns.
"""

import re
from ast import literal_eval
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

from gateway.simulation.tla_text import Node, Parser, Token, tokens_of

State = Mapping[str, Any]
Bound = Mapping[str, Any]
Value = Callable[[State, Bound], Any]
Action = Callable[[State, State, Bound], Iterator[State]]
"""From a state, what is assigned so far, and bound names: every way to assign more."""

_COMMENT: Final = re.compile(r"\(\*.*?\*\)|\\\*[^\n]*", re.DOTALL)
_DEFINITION: Final = re.compile(r"^(\w+)(?:\(([\w, ]+)\))? +==", re.MULTILINE)
_NAMES: Final = re.compile(r"^(CONSTANTS?|VARIABLES?)\b(.*?)(?=\n\n|^\w+.*==)", re.MULTILINE | re.DOTALL)
_EXTENDS: Final = re.compile(r"^EXTENDS ([\w, ]+)", re.MULTILINE)


@dataclass(slots=True)
class Definition:
    parameters: tuple[str, ...]
    tokens: list[Token] = field(repr=False)
    body: Node | None = None


def _within(function: Any, key: Any) -> Any:
    return function[key - 1] if isinstance(function, tuple) else function[key]


def _functions(domain: Iterable[Any], values: Iterable[Any]) -> list[dict[Any, Any]]:
    """Every function from one set to another; a list, since a dict is in no set."""
    keys = list(domain)
    return [dict(zip(keys, chosen, strict=True)) for chosen in product(list(values), repeat=len(keys))]


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "=": lambda a, b: a == b,
    "#": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "\\in": lambda a, b: a in b,
    "\\notin": lambda a, b: a not in b,
    "\\subseteq": lambda a, b: a <= b,
    "\\cup": lambda a, b: a | b,
    "\\": lambda a, b: a - b,
    "..": lambda a, b: range(a, b + 1),
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "apply": _within,
}


class Specification:
    """One module with those of the same folder that it extends, under values for its constants.

    Raise ValueError for text that is not of the language above.
    """

    def __init__(self, folder: Path, module: str, constants: Mapping[str, Any]) -> None:
        self._definitions: dict[str, Definition] = {}
        self.variables: list[str] = []
        self._constants = dict(constants)
        self._values: dict[str, Value] = {}
        self._actions: dict[tuple[str, bool], Action] = {}
        self._assigning: dict[tuple[str, bool], bool] = {}
        self._read(folder, module)

    def _read(self, folder: Path, module: str) -> None:
        text = _COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), (folder / f"{module}.tla").read_text())
        if extended := _EXTENDS.search(text):
            for name in extended.group(1).split(","):
                if (folder / f"{name.strip()}.tla").exists():
                    self._read(folder, name.strip())
        for kind, names in _NAMES.findall(text):
            if kind.startswith("VARIABLE"):
                self.variables += re.findall(r"\w+", names)
        found = list(_DEFINITION.finditer(text))
        ends = [*(one.start() for one in found[1:]), text.rindex("=====")]
        for one, end in zip(found, ends, strict=True):
            body = re.split(r"^(?:CONSTANT|VARIABLE|====)", text[one.end() : end], maxsplit=1, flags=re.MULTILINE)[0]
            # The body may begin on the line of the name: its columns count from there.
            padded = " " * (one.end() - one.start()) + body
            parameters = tuple(re.findall(r"\w+", one.group(2) or ""))
            self._definitions[one.group(1)] = Definition(parameters, tokens_of(padded))

    # --- questions ---------------------------------------------------------------------------------------------------

    def first(self, predicate: str) -> list[State]:
        """Every state in which the predicate, which assigns all variables, holds."""
        return [self._whole(state) for state in self._operator_action(predicate, True)({}, {}, {})]

    def after(self, action: str, state: State) -> list[State]:
        """Every state that the action leads to from this one."""
        return [self._whole(then) for then in self._operator_action(action, False)(state, {}, {})]

    def value(self, name: str, state: State) -> Any:
        """Return the value of a definition without parameters in this state."""
        return self._operator(name)(state, {})

    def constant(self, name: str, value: Any) -> None:
        """Give a constant another value. Definitions that need it are evaluated with it from now on."""
        self._constants[name] = value

    def _whole(self, state: State) -> State:
        if missing := [name for name in self.variables if name not in state]:
            raise ValueError(f"an action says nothing of {', '.join(missing)}")
        return state

    # --- expressions -------------------------------------------------------------------------------------------------

    def _body(self, name: str) -> Node:
        definition = self._definitions[name]
        if definition.body is None:
            try:
                definition.body = Parser(definition.tokens).expression()
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return definition.body

    def _operator(self, name: str) -> Value:
        if name not in self._values:
            body = self._body(name)
            value = self._compiled(body)
            if not self._definitions[name].parameters and self._is_fixed(body, frozenset()):
                fixed = value({}, {})
                value = lambda state, bound: fixed  # noqa: E731
            self._values[name] = value
        return self._values[name]

    def _is_fixed(self, node: Node, bound: frozenset[str]) -> bool:
        """True for what needs no state and no constant that a caller may change."""
        inner = bound | {node.name}
        if node.kind == "call" and node.name not in bound:
            if node.name in self.variables:
                return False
            if node.name in self._definitions:
                if not self._is_fixed(self._body(node.name), frozenset(self._definitions[node.name].parameters)):
                    return False
            elif isinstance(self._constants.get(node.name), tuple):
                return False
        return all(self._is_fixed(part, inner) for part in node.parts)

    def _compiled(self, node: Node) -> Value:
        parts = [self._compiled(part) for part in node.parts]
        if (operator := _OPERATORS.get(node.kind)) is not None:
            left, right = parts
            return lambda s, b: operator(left(s, b), right(s, b))
        match node.kind:
            case "value":
                value = literal_eval(node.name)
                return lambda s, b: value
            case "call":
                return self._call(node, parts)
            case "/\\":
                return lambda s, b: all(part(s, b) for part in parts)
            case "\\/":
                return lambda s, b: any(part(s, b) for part in parts)
            case "=>":
                return lambda s, b: not parts[0](s, b) or parts[1](s, b)
            case "~":
                return lambda s, b: not parts[0](s, b)
            case "negative":
                return lambda s, b: -parts[0](s, b)
            case "if":
                return lambda s, b: parts[1](s, b) if parts[0](s, b) else parts[2](s, b)
            case "case":
                return lambda s, b: _chosen(parts, s, b)(s, b)
            case "set":
                return lambda s, b: frozenset(part(s, b) for part in parts)
            case "tuple":
                return lambda s, b: tuple(part(s, b) for part in parts)
            case "record":
                pairs = list(zip(parts[::2], parts[1::2], strict=True))
                return lambda s, b: {key(s, b): value(s, b) for key, value in pairs}
            case "functions":
                return lambda s, b: _functions(parts[0](s, b), parts[1](s, b))
            case "except":
                whole, key, new = parts
                return lambda s, b: {**whole(s, b), key(s, b): new(s, b)}
            case _:
                return self._binder(node, parts)

    def _binder(self, node: Node, parts: list[Value]) -> Value:
        name = node.name
        first, body = parts
        match node.kind:
            case "let":
                return lambda s, b: body(s, {**b, name: first(s, b)})
            case "\\A":
                return lambda s, b: all(body(s, {**b, name: one}) for one in first(s, b))
            case "\\E":
                return lambda s, b: any(body(s, {**b, name: one}) for one in first(s, b))
            case "function":
                return lambda s, b: {one: body(s, {**b, name: one}) for one in first(s, b)}
            case "filter":
                return lambda s, b: frozenset(one for one in first(s, b) if body(s, {**b, name: one}))
            case _:
                raise ValueError(f"{node.kind!r} is not read here")

    def _call(self, node: Node, parts: list[Value]) -> Value:
        name = node.name
        if name == "Len":
            return lambda s, b: len(parts[0](s, b))
        if name in self.variables:
            return lambda s, b: s[name]
        if name in self._constants:
            return lambda s, b: self._constants[name]
        if name in self._definitions:
            parameters, body = self._definitions[name].parameters, self._operator(name)
            if not parameters:
                return lambda s, b: body(s, {})
            return lambda s, b: body(s, {key: part(s, b) for key, part in zip(parameters, parts, strict=True)})
        return lambda s, b: b[name]

    # --- actions -----------------------------------------------------------------------------------------------------

    def _operator_action(self, name: str, first: bool) -> Action:
        if (name, first) not in self._actions:
            self._actions[name, first] = self._action(self._body(name), first)
        return self._actions[name, first]

    def _assigns(self, node: Node, first: bool) -> bool:
        if node.kind in ("prime", "UNCHANGED"):
            return True
        if node.kind == "call":
            if node.name in self.variables:
                return first
            if node.name in self._definitions:
                key = node.name, first
                if key not in self._assigning:
                    self._assigning[key] = self._assigns(self._body(node.name), first)
                if self._assigning[key]:
                    return True
        return any(self._assigns(part, first) for part in node.parts)

    def _action(self, node: Node, first: bool) -> Action:
        if not self._assigns(node, first):
            holds = self._compiled(node)
            return lambda s, n, b: iter((n,) if holds(n if first else s, b) else ())
        match node.kind:
            case "/\\":
                return _all_of([self._action(part, first) for part in node.parts])
            case "\\/":
                branches = [self._action(part, first) for part in node.parts]
                return lambda s, n, b: (found for branch in branches for found in branch(s, n, b))
            case "=>":
                condition, then = self._compiled(node.parts[0]), self._action(node.parts[1], first)
                return lambda s, n, b: then(s, n, b) if condition(s, b) else iter((n,))
            case "if":
                condition, then = self._compiled(node.parts[0]), self._action(node.parts[1], first)
                otherwise = self._action(node.parts[2], first)
                return lambda s, n, b: (then if condition(s, b) else otherwise)(s, n, b)
            case "case":
                arms: list[Any] = [
                    self._action(part, first) if number % 2 else self._compiled(part)
                    for number, part in enumerate(node.parts)
                ]
                return lambda s, n, b: _chosen(arms, s, b)(s, n, b)
            case "\\E":
                among, body, name = self._compiled(node.parts[0]), self._action(node.parts[1], first), node.name
                return lambda s, n, b: (found for one in among(s, b) for found in body(s, n, {**b, name: one}))
            case "=" | "\\in" if self._target(node.parts[0], first):
                return self._assignment(node, first)
            case "UNCHANGED":
                names = self._flat(node.parts[0])
                return lambda s, n, b: iter(({**n, **{name: s[name] for name in names}},))
            case "call" if node.name in self._definitions:
                return self._called(node, first)
            case _:
                holds = self._compiled(node)
                return lambda s, n, b: iter((n,) if holds(n if first else s, b) else ())

    def _target(self, node: Node, first: bool) -> str:
        is_target = node.kind == "prime" or (first and node.kind == "call" and node.name in self.variables)
        return node.name if is_target else ""

    def _assignment(self, node: Node, first: bool) -> Action:
        """`x' = e` or `x' \\in S`: assigned if it was not yet, compared otherwise. A first state is its own ground."""
        name, value, single = self._target(node.parts[0], first), self._compiled(node.parts[1]), node.kind == "="

        def assigned(s: State, n: State, b: Bound) -> Iterator[State]:
            found = value(n if first else s, b)
            for one in (found,) if single else found:
                if name not in n:
                    yield {**n, name: one}
                elif n[name] == one:
                    yield n

        return assigned

    def _called(self, node: Node, first: bool) -> Action:
        parameters, action = self._definitions[node.name].parameters, self._operator_action(node.name, first)
        parts = [self._compiled(part) for part in node.parts]
        return lambda s, n, b: action(s, n, {key: part(s, b) for key, part in zip(parameters, parts, strict=True)})

    def _flat(self, node: Node) -> list[str]:
        """The variables of a tuple of variables and of tuples of them."""
        if node.kind == "tuple":
            return [name for part in node.parts for name in self._flat(part)]
        return [node.name] if node.name in self.variables else self._flat(self._body(node.name))


def _chosen(arms: list[Any], state: State, bound: Bound) -> Any:
    for condition, then in zip(arms[::2], arms[1::2], strict=True):
        if condition(state, bound):
            return then
    raise ValueError("no case of a CASE holds")


def _all_of(actions: list[Action]) -> Action:
    def conjoined(s: State, n: State, b: Bound, at: int = 0) -> Iterator[State]:
        if at == len(actions):
            yield n
            return
        for found in actions[at](s, n, b):
            yield from conjoined(s, found, b, at + 1)

    return conjoined
