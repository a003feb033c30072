"""Expressions of TLA+ as trees: the part of the language that `docs/spec` is written in (see `tla`)."""

import re
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r'"[^"]*"|\d+|\w+|\\[a-zA-Z]+|/\\|\\/|\|->|<<|>>|->|=>|==|<=|>=|\.\.|\[\]|[][(){},:!.+*~\'=#<>\\-]', re.ASCII
)

_BINARY: Final = {
    "=>": 1,
    "\\/": 3,
    "/\\": 3,
    **dict.fromkeys(("=", "#", "<", ">", "<=", ">=", "\\in", "\\notin", "\\subseteq"), 5),
    **dict.fromkeys(("\\cup", "\\"), 8),
    "..": 9,
    **dict.fromkeys(("+", "-"), 10),
    "*": 13,
}
_UNARY: Final = {"~": 4, "-": 12, "UNCHANGED": 4}


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Node:
    """`kind` is an operator or a form of the language; `name` what it names; `parts` are expressions."""

    kind: str
    parts: tuple["Node", ...] = ()
    name: str = ""


def tokens_of(text: str) -> list[Token]:
    return [Token(found.group(), found.start()) for line in text.split("\n") for found in _TOKEN.finditer(line)]


class Parser:
    """One expression. A list of conjuncts or disjuncts ends where a line begins left of its bullets, or below them."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = [*tokens, Token("", -1)]
        self._at = 0
        self._edges = [-1]

    def expression(self, above: int = 0) -> Node:
        left = self._operand()
        while (power := _BINARY.get(self._next(), 0)) > above:
            operator = self._take()
            # All are read as if they associated to the left; if that matters the text has parentheses.
            left = Node(operator, (left, self.expression(power)))
        return left

    def _next(self) -> str:
        token = self._tokens[self._at]
        return token.text if token.column > self._edges[-1] else ""

    def _take(self, wanted: str | None = None) -> str:
        text = self._next()
        if not text or (wanted is not None and text != wanted):
            raise ValueError(f"{wanted or 'an expression'} is missing before {text or 'the end of the expression'!r}")
        self._at += 1
        return text

    def _list(self) -> Node:
        bullet = self._tokens[self._at]
        items = []
        while self._tokens[self._at] == bullet:
            self._at += 1
            self._edges.append(bullet.column)
            items.append(self.expression())
            self._edges.pop()
        return Node(bullet.text, tuple(items))

    def _operand(self) -> Node:
        text = self._next()
        if text in ("/\\", "\\/"):
            return self._list()
        if text in _UNARY:
            self._take()
            return Node("negative" if text == "-" else text, (self.expression(_UNARY[text]),))
        found = self._special(self._take()) or self._atom(text)
        while self._next() in ("[", ".", "'"):
            match self._take():
                case "[":
                    found = Node("apply", (found, self.expression()))
                    self._take("]")
                case ".":
                    found = Node("apply", (found, Node("value", name=repr(self._take()))))
                case _:
                    found = Node("prime", name=found.name)
        return found

    def _special(self, text: str) -> Node | None:
        match text:
            case "IF":
                condition = self.expression()
                self._take("THEN")
                then = self.expression()
                self._take("ELSE")
                return Node("if", (condition, then, self.expression()))
            case "CASE":
                return self._case()
            case "LET":
                name = self._take()
                self._take("==")
                value = self.expression()
                self._take("IN")
                return Node("let", (value, self.expression()), name)
            case "\\A" | "\\E":
                name, among = self._binding()
                self._take(":")
                return Node(text, (among, self.expression()), name)
            case "[":
                return self._function()
            case "{":
                return self._set()
            case _:
                return None

    def _atom(self, text: str) -> Node:
        if text == "(":
            inner = self.expression()
            self._take(")")
            return inner
        if text == "<<":
            return Node("tuple", self._several(">>"))
        if text[0] == '"':
            return Node("value", name=repr(text[1:-1]))
        if text.isdigit() or text in ("TRUE", "FALSE"):
            return Node("value", name={"TRUE": "True", "FALSE": "False"}.get(text, text))
        if not re.fullmatch(r"\w+", text):
            raise ValueError(f"{text!r} does not begin an expression")
        if self._next() == "(":
            self._take()
            return Node("call", self._several(")"), text)
        return Node("call", (), text)

    def _several(self, end: str) -> tuple[Node, ...]:
        found = []
        while self._next() != end:
            found.append(self.expression())
            if self._next() != end:
                self._take(",")
        self._take(end)
        return tuple(found)

    def _binding(self) -> tuple[str, Node]:
        name = self._take()
        self._take("\\in")
        return name, self.expression(5)

    def _case(self) -> Node:
        parts = []
        while True:
            parts.append(Node("value", name="True") if self._next() == "OTHER" and self._take() else self.expression())
            self._take("->")
            parts.append(self.expression())
            if self._next() != "[]":
                return Node("case", tuple(parts))
            self._take()

    def _function(self) -> Node:
        """`[x \\in S |-> e]`, `[a |-> e, …]`, `[S -> T]`, or `[f EXCEPT ![k] = e]`."""
        ahead = self._tokens[self._at + 1].text
        if ahead == "\\in":
            name, among = self._binding()
            self._take("|->")
            made = Node("function", (among, self.expression()), name)
        elif ahead == "|->":
            parts: list[Node] = []
            while not parts or self._next() == ",":
                if parts:
                    self._take(",")
                parts.append(Node("value", name=repr(self._take())))
                self._take("|->")
                parts.append(self.expression())
            made = Node("record", tuple(parts))
        else:
            whole = self.expression()
            if self._next() == "->":
                self._take()
                made = Node("functions", (whole, self.expression()))
                self._take("]")
                return made
            for wanted in ("EXCEPT", "!", "["):
                self._take(wanted)
            key = self.expression()
            self._take("]")
            self._take("=")
            made = Node("except", (whole, key, self.expression()))
        self._take("]")
        return made

    def _set(self) -> Node:
        if self._tokens[self._at + 1].text == "\\in":
            name, among = self._binding()
            self._take(":")
            made = Node("filter", (among, self.expression()), name)
            self._take("}")
            return made
        return Node("set", self._several("}"))
