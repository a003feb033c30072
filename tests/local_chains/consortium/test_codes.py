"""Every result code is what some test of this room asks for, and has its line in the documentation."""

import re
from pathlib import Path

from core.model.consortium import ResultCode

ROOM = Path(__file__).parent
DOCUMENT = Path(__file__).parents[3] / "docs" / "consortium-chain.md"


def test_every_code_is_provoked_by_a_test() -> None:
    asked = {
        name
        for path in ROOM.rglob("test_*.py")
        for name in re.findall(r"ResultCode\.([A-Z_]+)", path.read_text())
        if path != Path(__file__)
    }
    assert {code.name for code in ResultCode} - asked == set()


def test_every_code_is_documented() -> None:
    rows = re.findall(r"\| (\d+) \| ([a-z-]+) \|", DOCUMENT.read_text())
    assert {int(number): word for number, word in rows} == {code.value: code.word for code in ResultCode}
