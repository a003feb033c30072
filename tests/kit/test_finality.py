"""A chain replaces a final block, while the kit looks or not: it locks and reveals nothing until its owner says so."""

from pathlib import Path

from tests.kit import programs

FIRST = "a finalized block of causeway:one was replaced: look into it, then acknowledge the alarm"
SECOND = FIRST.replace("one", "two")
BEHIND = "causeway:one shows no block 10 any more, which was final: its nodes are behind, or it went another way"
EXPECTED = {
    "reveal, after the first chain replaced a final block": FIRST,
    "the alarm of the first chain": '[["causeway:one",{"height":10,"noticedS":10000}]]',
    "acknowledged on the first chain": "true false, then completed ",
    "the store after the first chain": "12 undefined",
    "reveal, after the second chain replaced a final block": SECOND,
    "the alarm of the second chain": '[["causeway:two",{"height":10,"noticedS":10000}]]',
    "acknowledged on the second chain": "true false, then completed ",
    "the store after the second chain": "12 undefined",
    "lock, after a final block was replaced": f"{FIRST}, asked for 0 transactions",
    "blocks are added": "completed",
    "the branch comes back": FIRST,
    "the chain goes another way while it is read": SECOND,
    "revealing asks nobody": "completed",
    "refunding asks nobody": "refunded",
    "a reveal that was asked for and not made": FIRST,
    "nodes that fell behind": f"{BEHIND}; 0 alarms; completed",
    "nodes that fell behind, accepted": "false completed",
    "blocks that nobody keeps any more": "completed",
    "a shorter chain of other blocks": f"{FIRST}: block 10",
    "another client of the store": "causeway:one",
    "a hundred final blocks": "32 kept, from 69 to 100",
    "glances in one moment": 1,
    "a chain that is down": "unavailable true",
    "a slow tab, after all was acknowledged": '{"final":[{"height":11,"hash":"b11"},{"height":12,"hash":"b12"}]}',
    "another branch at the newest height": (
        '{"final":[{"height":12,"hash":"b12"}],"alarm":{"height":12,"noticedS":10000}}'
    ),
    "a second one, before the first is acknowledged": (
        '{"final":[{"height":12,"hash":"b12"}],"alarm":{"height":20,"noticedS":1}}'
    ),
    "two stores of a folder remember at once": 20,
    "of a chain that was never seen": "undefined",
    "swaps among what is remembered": 0,
}


def test_replaced_final_blocks_stop_locks_and_reveals(kit: Path, tmp_path: Path) -> None:
    found = programs.printed(kit, "finality.mjs", tmp_path / "store", beside=("scene.mjs",))
    assert found == EXPECTED
