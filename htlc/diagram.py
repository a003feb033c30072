"""Draws the state machine from its table: `python -m htlc.diagram` writes docs/internals/swap-state-machine.md.

A test fails if the page is stale.
"""

from collections import defaultdict
from pathlib import Path
from typing import Final

from htlc.events import EVENT_TYPES, event_name
from htlc.model import TERMINAL, Phase
from htlc.table import MEANING, TABLE, Ignored, Taken

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "internals" / "swap-state-machine.md"
LABELS_PER_LINE: Final = 2

_INTRODUCTION: Final = """\
# The swap's state machine

<!-- Drawn from htlc/table.py by `python -m htlc.diagram`. Do not edit. -->

One machine for three roles: the initiator, the liquidity provider (the participant) and the watchtower. A phase says
what we are committed to; facts, not phases, decide what is done next (`htlc/decisions.py`), so that a reorg leads
back as naturally as a block leads on. Arrows are labelled with the events that may take them.
"""

_COMMITMENTS: Final = """\
## What a phase commits us to

"""

_ANSWERS: Final = """\
## Every phase answers every event

`→` names the phases that an event may lead to; `•` means that it becomes a fact and effects may follow, in the same
phase; `–` means that it is ignored, for the reason given by its number below.
"""


def page() -> str:
    """The whole Markdown page."""
    return "\n".join([_INTRODUCTION, _mermaid(), _COMMITMENTS + _commitments(), _ANSWERS, _answers()])


def _mermaid() -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {_node(Phase.AGREED)}: agreed"]
    for (source, target), names in _arrows().items():
        rows = [names[first : first + LABELS_PER_LINE] for first in range(0, len(names), LABELS_PER_LINE)]
        label = "<br/>".join(", ".join(row) for row in rows)
        lines.append(f"    {_node(source)} --> {_node(target)}: {label}")
    lines += [f"    {_node(phase)} --> [*]" for phase in Phase if phase in TERMINAL]
    return "\n".join([*lines, "```", ""])


def _arrows() -> dict[tuple[Phase, Phase], list[str]]:
    arrows: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for source in Phase:
        for target in Phase:
            for event in EVENT_TYPES:
                cell = TABLE[source][event]
                if isinstance(cell, Taken) and target in cell.to:
                    arrows[source, target].append(event_name(event))
    return arrows


def _node(phase: Phase) -> str:
    return phase.replace("-", "_")


def _commitments() -> str:
    documented = (Phase.__doc__ or "").splitlines()
    rows = [line.split(maxsplit=1) for line in documented if line.strip() and line.split()[0].isupper()]
    return "\n".join(f"- **{Phase[name].value}**: {meaning}" for name, meaning in rows) + "\n"


def _answers() -> str:
    reasons = list(
        dict.fromkeys(
            cell.why for phase in Phase for event in EVENT_TYPES if isinstance(cell := TABLE[phase][event], Ignored)
        )
    )
    lines = [
        "| event | " + " | ".join(Phase) + " |",
        "|---" * (len(Phase) + 1) + "|",
    ]
    for event in EVENT_TYPES:
        cells = []
        for phase in Phase:
            match TABLE[phase][event]:
                case Taken(to=to) if to:
                    cells.append("→ " + ", ".join(target for target in Phase if target in to))
                case Taken():
                    cells.append("•")
                case Ignored(why=why):
                    cells.append(f"–{reasons.index(why) + 1}")
        lines.append(f"| {event_name(event)} | " + " | ".join(cells) + " |")
    lines.append("")
    lines += [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    lines += ["", "What the events mean where they are taken:", ""]
    lines += [f"- **{event_name(event)}**: {MEANING[event]}" for event in EVENT_TYPES]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
