"""Draws the state machine from its table: `python -m htlc.diagram` writes docs/internals/swap-state-machine.md.

A test fails if the page is stale.
"""

from pathlib import Path
from typing import Final

from htlc.table import TABLE

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "internals" / "swap-state-machine.md"

_INTRODUCTION: Final = """\
# The swap's state machine

<!-- Drawn from htlc/table.py by `python -m htlc.diagram`. Do not edit. -->

One machine for three roles: the initiator, the liquidity provider (the participant) and the watchtower. A phase says
what we are committed to; facts, not phases, decide what is done next (`htlc/decisions.py`), so that a reorg leads
back as naturally as a block leads on. Arrows are labelled with the events that may take them.
"""


def page() -> str:
    """The whole Markdown page."""
    return TABLE.page(_INTRODUCTION, "agreed")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
