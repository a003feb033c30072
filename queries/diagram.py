"""Draws the state machine from its table: `python -m queries.diagram` writes docs/internals/query-state-machine.md.

A test fails if the page is stale.
"""

from pathlib import Path
from typing import Final

from queries.table import TABLE

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "internals" / "query-state-machine.md"

_INTRODUCTION: Final = """\
# The query's state machine

<!-- Drawn from queries/table.py by `python -m queries.diagram`. Do not edit. -->

One machine for a question that a contract or the ledger asks, and for one that a caller of our API asks: the former is
settled by a block of its own chain, by whoever answers; the latter by a proof that is kept for the caller. Arrows are
labelled with the events that may take them.
"""


def page() -> str:
    """The whole Markdown page."""
    return TABLE.page(_INTRODUCTION, "asked")


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
