"""The kit's steps at moments that a devnet does not show on demand: crashes, refusals, nodes that do not agree."""

from pathlib import Path

from tests.kit import programs, vectors

EXPECTED = {
    "relayer never takes its lock back": "refunding",
    "relayer's lock may yet be claimed finally": "revealing claim",
    "our timelock is not there yet": "revealing",
    "refund of what stands": "refunding refund",
    "refund of what was settled": "refunding",
    "claim of what was settled": "revealing",
    "called off before the wallet was asked": "done abandoned",
    "called off after the wallet was asked": "locking",
    "called off with a lock": "locked",
    "preimage known to others": "revealing",
    "claim included between two questions": "revealing",
    "refund included between two questions": "refunding",
    "claim refused once": "completed",
    "missing leg": "rejected false",
    "null leg": "rejected false",
    "empty leg": "rejected false",
    "node's own error": "unavailable true",
    "node's answer in no form": "unavailable true",
    "wallet of another chain": "rejected false",
    "lock after locks of strangers": "locked",
    "lane used again long ago": "claimed",
    "backup, and no lock is seen": "locking",
    "backup before the place, and no lock is seen": "agreed",
    "backup, and its place has the lock": "locked",
    "backup, and another place has the lock": "locked",
    "backup, and the timelock has come without a lock": "done abandoned",
    "allowance before the place": "agreed",
    "allowance used up by another": "locking",
    "allowance under way": "locking",
    "allowance declined": "done abandoned",
    "lock of long ago": "locked after 1",
    "lock long after the quote": "locked after 3",
    "node that shows 500 blocks": "locked after 2",
    "and was asked for more only to learn it": True,
    "node that shows 10 blocks": "locked after 2",
    "no lock, looked through once": "undefined after 1",
    "and not again, but for the newest": 1,
    "node that is busy": "unavailable true",
    "node that shows no logs at all": "unavailable true",
    "node behind the chain": "undefined",
    "the same, once it is not": "locked",
    "lane used again, as a node of 100 blocks shows": "claimed",
    "allowance of nothing yet": "100, token 100",
    "allowance that is enough": "nothing",
    "allowance that is short": "100, token 100",
    "allowance that is short, and goes to zero first": "0, token 0",
    "allowance next to another swap's": "130, token 130",
    "included as one node says": True,
    "included as two nodes say": False,
    "included in a block that is not read yet": True,
    "file of a process with our id before us": "nothing",
    "file of a process that is gone": "nothing",
    "file whose writer died": "nothing",
    "file of a process that lives": "busy true",
    "file of our own": "busy true",
}


def test_steps_at_rare_moments(kit: Path, tmp_path: Path) -> None:
    found = programs.printed(kit, "steps.mjs", vectors.PATH, tmp_path / "store", beside=("scene.mjs",))
    assert found == EXPECTED
