"""A machine as a table: which phase answers which event, and how; and the page that is drawn from it.

A room states its machine's answers as a `Table`, holds the machine against it in its tests, and lets `page` draw it
for the docs (`python -m htlc.diagram`).
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

P = TypeVar("P", bound=StrEnum)

LABELS_PER_LINE: Final = 2


@dataclass(frozen=True, slots=True)
class Taken(Generic[P]):
    """The event becomes a fact. `to` are the phases it may lead to, and it may always stay in the present one."""

    to: frozenset[P]
    why: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """The event changes nothing in this phase, on purpose."""

    why: str


@dataclass(frozen=True, slots=True)
class Table(Generic[P]):
    """Every phase's answer to every event. `meaning` says what an event means where it is taken; the documentation of
    `phases` says in one line each what a phase commits us to."""

    phases: type[P]
    terminal: Collection[P]
    event_types: Sequence[type]
    name_of: Callable[[type], str]
    meaning: Mapping[type, str]
    cells: Mapping[P, Mapping[type, Taken[P] | Ignored]]

    def answer(self, phase: P, event: object) -> Taken[P] | Ignored:
        """Return how `phase` answers `event`."""
        return self.cells[phase][type(event)]

    def page(self, introduction: str, first: str) -> str:
        """Return a Markdown page: the introduction, a diagram in which `first` leads to the first phase, and tables."""
        parts = [introduction, self._mermaid(first), _COMMITMENTS + self._commitments(), _ANSWERS, self._answers()]
        return "\n".join(parts)

    def _mermaid(self, first: str) -> str:
        begins = next(iter(self.phases))
        lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {_node(begins)}: {first}"]
        for (source, target), names in self._arrows().items():
            rows = [names[at : at + LABELS_PER_LINE] for at in range(0, len(names), LABELS_PER_LINE)]
            label = "<br/>".join(", ".join(row) for row in rows)
            lines.append(f"    {_node(source)} --> {_node(target)}: {label}")
        lines += [f"    {_node(phase)} --> [*]" for phase in self.phases if phase in self.terminal]
        return "\n".join([*lines, "```", ""])

    def _arrows(self) -> dict[tuple[P, P], list[str]]:
        arrows: dict[tuple[P, P], list[str]] = defaultdict(list)
        for source in self.phases:
            for target in self.phases:
                for event in self.event_types:
                    cell = self.cells[source][event]
                    if isinstance(cell, Taken) and target in cell.to:
                        arrows[source, target].append(self.name_of(event))
        return arrows

    def _commitments(self) -> str:
        documented = (self.phases.__doc__ or "").splitlines()
        rows = [line.split(maxsplit=1) for line in documented if line.strip() and line.split()[0].isupper()]
        return "\n".join(f"- **{self.phases[name].value}**: {meaning}" for name, meaning in rows) + "\n"

    def _answers(self) -> str:
        cells = [self.cells[phase][event] for phase in self.phases for event in self.event_types]
        reasons = list(dict.fromkeys(cell.why for cell in cells if isinstance(cell, Ignored)))
        lines = ["| event | " + " | ".join(self.phases) + " |", "|---" * (len(self.phases) + 1) + "|"]
        for event in self.event_types:
            row = [self._cell(phase, event, reasons) for phase in self.phases]
            lines.append(f"| {self.name_of(event)} | " + " | ".join(row) + " |")
        lines.append("")
        lines += [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
        lines += ["", "What the events mean where they are taken:", ""]
        lines += [f"- **{self.name_of(event)}**: {self.meaning[event]}" for event in self.event_types]
        return "\n".join(lines) + "\n"

    def _cell(self, phase: P, event: type, reasons: Sequence[str]) -> str:
        match self.cells[phase][event]:
            case Taken(to=to) if to:
                return "→ " + ", ".join(target for target in self.phases if target in to)
            case Taken():
                return "•"
            case Ignored(why=why):
                return f"–{reasons.index(why) + 1}"


_COMMITMENTS: Final = """\
## What a phase commits us to

"""

_ANSWERS: Final = """\
## Every phase answers every event

`→` names the phases that an event may lead to; `•` means that it becomes a fact and effects may follow, in the same
phase; `–` means that it is ignored, for the reason given by its number below.
"""


def _node(phase: StrEnum) -> str:
    return phase.replace("-", "_")
