"""A relayer, a node, a browser or a second process does something to a swap of the kit: what comes of it."""

import json
import subprocess
from pathlib import Path

from tests.kit import vectors

EXPECTED = {
    "asked in time, gone on with too late": "locked off : saved locked0",
    "shown before, too late now": "revealing : claim saved revealing1",
    "shown in time": "revealing : saved revealing1 claim saved revealing1",
    "nothing is shown that was not written down": "store true :",
    "our lock is gone": "locked off : saved locked0",
    "a claim could not be paid": "payout-blocked true :",
    "we could not pay for a claim": "unaffordable true :",
    "clock set back while its owner was asked": "clock-skew true :",
    "our lock taken in a block that is not final": "revealing off : saved revealing",
    "a hook that throws nothing": "locked off : saved locked",
    "a hook that answers never": "locked off : saved locked",
    "a lock that was refunded under other terms": "locked :",
    "at the deadline's second": "locking : saved locking",
    "a second after the deadline": "done abandoned off : saved done",
    "a copy of the store has locked": "locking at theirs, the wallet was asked 1 times",
    "no copy has locked": "locking at ours, the wallet was asked 0 times",
    "a copy has locked, too late for a lock of ours": "locking off : saved agreed saved locking",
    "a copy has locked, and ours was called off": "locking off : saved agreed saved locking",
    "a copy has locked, too late after the place": "locking off : saved locking saved locking",
    "a copy has locked elsewhere, and the timelock has come": "locking off : saved locking saved locking",
    "no copy has locked, too late for a lock of ours": "done abandoned off : saved agreed saved done",
    "a hook said no, and nobody shows if a copy has locked": "unavailable true : saved agreed",
    "a refund could not be paid": "payout-blocked true :",
    "the browser cleared the store after the reveal": "completed",
    "no room after the reveal": "completed 1 claim",
    "an error that nobody planned for, after the reveal": "completed",
    "whoever watches fails": "completed",
    "cancelled after the reveal": "goes on",
    "cancelled before the wallet was asked": "locked cancelled by its owner",
    "cancelled twice": "first",
    "forgetting an opening": "nothing, 0 left",
    "forgetting an opening out of a backup": "rejected false, 1 left",
    "forgetting what was agreed": "rejected false",
    "the name of another quote": "rejected false, rejected false, 500 kept",
    "the name of another quote, in words": "the relayer gave this quote the name of another one: ask for a new quote",
    "the relayer's code wrong-key": "rejected false",
    "the relayer's code declined": "rejected false",
    "the relayer's code busy": "rejected false",
    "the relayer's code gate-closed": "gate-closed false",
    "the relayer's code xxxxxxxxxxxx": "rejected false",
    "a malformed receiver": "rejected false",
    "a relayer's malformed account": "rejected false",
    "terms as quoted": "nothing",
    "a timelock in words": "rejected false",
    "a timelock in a list": "rejected false",
    "a timelock that wraps": "rejected false",
    "their timelock wraps": "rejected false",
    "both legs on one chain": "rejected false",
    "an account of no chain": "rejected false",
    "numbers of eight bytes": "nothing, malformed-proof false, malformed-proof false",
    "pending, says one, for long": False,
    "pending, says one, a minute ago": True,
    "pending, says nobody, a minute ago": False,
    "pending, say two, for long": True,
    "sent, by a clock that was put right since": False,
    "our lock in the newest block": "locked undefined",
    "a wallet's own names of transactions": " nothing,  nothing,  nothing, 0xab unavailable true",
    "lists in lists, from one node": "0x7a69",
    "one node hangs": "0x7a69 31337 2 in time",
    "one of three answers": "unavailable true, unavailable true",
    "one node with two votes": "rejected false",
    "ether can be paid": "nothing",
    "ether cannot be paid": "payout-blocked true",
    "ether cannot be paid, says one": "nothing",
    "ether can be paid, says one": "payout-blocked true",
    "a token that answers true": "nothing",
    "a token that answers false": "payout-blocked true",
    "a token that is paused": "payout-blocked true",
    "nodes that do not say": "unavailable true",
    "a purse that pays": "nothing",
    "a purse that does not": "unaffordable true",
    "a purse that one node empties": "nothing",
    "two take over at once": "1 inside",
    "two make one store": "2 opened, 2 read",
    "one record is damaged": "c2",
    "a damaged record": "wrong-key false",
    "the folder is gone": "store true, store true, store true",
    "left behind": 0,
}
"""A step's outcome: the stage that it leads to, "off" if the swap is called off, then what was done in this order; the
refusal, and if trying again may help, of what throws."""


def test_attacks_cost_nothing(kit: Path, tmp_path: Path) -> None:
    for name in ("scene.mjs", "attacks.mjs"):
        (kit.parent / name).write_bytes((Path(__file__).parent / name).read_bytes())
    command = ("node", kit.parent / "attacks.mjs", kit, vectors.PATH, tmp_path / "store")
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == EXPECTED
