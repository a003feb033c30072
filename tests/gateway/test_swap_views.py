"""`causeway swap list|show|explain|replay`, out of a database that nobody works on."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.runtime import journal
from gateway.cli.swap_views import _duration
from gateway.daemons.parts import opened_database
from htlc.events import SwapEvent
from htlc.model import Leg, Role
from relayer.pump import swaps
from tests.gateway.test_cli import causeway
from tests.htlc.scenarios import NOW, agreement, lock_final, lock_seen

TERMS = agreement(Role.LIQUIDITY_PROVIDER)
HAPPENED = (lock_seen(TERMS, Leg.INITIATOR), lock_final(Leg.INITIATOR))
URL = "sqlite:///swaps.sqlite"


def store(directory: Path, happened: Sequence[SwapEvent] = HAPPENED) -> None:
    async def work() -> None:
        async with opened_database(URL, directory) as database:
            await database.write(lambda c: swaps.begin(c, TERMS, "quote-1", now_s=NOW, now_ns=NOW * 10**9))
            await database.write(lambda c: swaps.take(c, TERMS.swap_id, happened, now_ns=(NOW + 1) * 10**9))

    asyncio.run(work())


def test_open_swap_is_listed_shown_and_explained(tmp_path: Path) -> None:
    store(tmp_path)
    [line] = json.loads(causeway("swap", "list", "--database", URL, "--json", cwd=tmp_path).stdout)
    assert (line["id"], line["phase"]) == (TERMS.swap_id, "verifying")
    assert "operators to confirm" in line["waits_for"]
    shown = json.loads(causeway("swap", "show", TERMS.swap_id[:6], "--database", URL, "--json", cwd=tmp_path).stdout)
    assert shown["legs"]["initiator"]["lock"] == "a-lock"
    assert [one["kind"] for one in shown["effects"]] == ["verify-initiator"]
    [seen] = shown["seen"]
    assert (seen["what"], seen["block"], seen["final"]) == ("initiator's leg locked", 7, True)
    explained = causeway("swap", "explain", TERMS.swap_id, "--database", URL, cwd=tmp_path)
    assert explained.returncode == 0, explained.stderr
    assert "we are its liquidity-provider" in explained.stdout
    assert "then the swap ends, and we have locked nothing" in explained.stdout


def test_tables_for_people_say_what_json_says(tmp_path: Path) -> None:
    store(tmp_path)
    listed = causeway("swap", "list", "--database", URL, cwd=tmp_path, COLUMNS="400")
    assert listed.returncode == 0, listed.stderr
    [row] = [line for line in listed.stdout.splitlines() if TERMS.swap_id[:12] in line]
    assert {"liquidity-provider", "verifying"} <= set(row.replace("│", " ").split())
    shown = causeway("swap", "show", TERMS.swap_id, "--database", URL, cwd=tmp_path, COLUMNS="400")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"swap {TERMS.swap_id}  verifying, as liquidity-provider\nwaits for ")
    legs = [line.replace("│", " ").split()[:4] for line in shown.stdout.splitlines() if " of " in line]
    given, taken = TERMS.initiator_leg, TERMS.participant_leg
    assert legs[-2:] == [
        ["initiator", str(given.amount), "of", given.asset],
        ["participant", str(taken.amount), "of", taken.asset],
    ]
    [seen] = [line for line in shown.stdout.splitlines() if "initiator's leg locked" in line]
    assert seen.replace("│", " ").split()[-1] == "yes"


def test_list_without_open_swaps_says_so(tmp_path: Path) -> None:
    async def empty() -> None:
        async with opened_database(URL, tmp_path):
            pass

    asyncio.run(empty())
    for options, said in (((), "no swap is open: --all shows those that ended\n"), (("--json",), "[]\n")):
        listed = causeway("swap", "list", "--database", URL, *options, cwd=tmp_path)
        assert (listed.returncode, listed.stdout) == (0, said), listed.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min 00 s"),
        (3_599, "59 min 59 s"),
        (3_600, "1 h 00 min"),
        (7_505, "2 h 05 min"),
    ],
)
def test_time_left_is_written_for_people(seconds: int, text: str) -> None:
    assert _duration(seconds) == text
    assert seconds == 0 or _duration(-seconds) == f"-{text}"


def test_replay_compares_with_the_stored_state(tmp_path: Path) -> None:
    store(tmp_path)
    replay = "swap", "replay", TERMS.swap_id, "--database", URL
    same = causeway(*replay, cwd=tmp_path)
    assert same.returncode == 0, same.stderr
    assert "3 events lead to the stored state: verifying" in same.stdout

    async def tamper() -> None:
        async with opened_database(URL, tmp_path) as database:
            state = journal.journal_state
            raw = await database.read(lambda c: c.execute(sa.select(state.c.state)).scalar_one())
            assert b'"verifying"' in raw
            changed = raw.replace(b'"verifying"', b'"both-locked"')
            await database.write(lambda c: c.execute(sa.update(state).values(state=changed)).rowcount)

    asyncio.run(tamper())
    differs = causeway(*replay, cwd=tmp_path)
    assert (differs.returncode, "is not what its journal leads to" in differs.stderr) == (3, True), differs.stderr


@pytest.mark.parametrize(
    ("named", "said"),
    [("zz", "hexadecimal"), ("ab", "hexadecimal"), ("ffff", "no swap begins"), ("%%%%", "hexadecimal")],
)
def test_name_of_no_swap_is_refused(tmp_path: Path, named: str, said: str) -> None:
    store(tmp_path)
    shown = causeway("swap", "show", named, "--database", URL, cwd=tmp_path)
    assert (shown.returncode, said in shown.stderr) == (1, True), shown.stderr


def test_missing_database_is_not_made(tmp_path: Path) -> None:
    shown = causeway("swap", "list", "--database", URL, cwd=tmp_path)
    assert (shown.returncode, "nothing has run" in shown.stderr) == (1, True)
    assert not (tmp_path / "swaps.sqlite").exists()
