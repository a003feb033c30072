"""The whole house at once: `causeway demo` as a process, on real chains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OUTCOMES = ["claimed", "claimed", "refunded", "refunded", "claimed"]


@pytest.mark.long
@pytest.mark.alone
def test_every_story_ends_as_it_says(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    shown = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--json", "--dir", str(directory)],
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr[-4000:]
    result = json.loads(shown.stdout.splitlines()[-1])
    assert result["ok"] is True
    assert [swap["outcome"] for swap in result["swaps"]] == OUTCOMES
    for swap in result["swaps"]:
        for leg in swap["legs"]:
            assert leg["status"] == swap["outcome"]
            assert leg["lock_tx"] != leg["settle_tx"]
    assert {len(swap["legs"]) for swap in result["swaps"]} == {1, 2}, "one swap never got a second leg"
    assert result["crash_recovery"]["outcome"] == "claimed"
    assert result["crash_recovery"]["killed_at_state"] == "both-locked"
    assert len(result["evidence"]) == 2
    for evidence in result["evidence"]:
        assert evidence["verified"] is True
        assert evidence["tampered_rejected"] is True
        assert Path(evidence["file"]).exists()
    assert result["questions"]["ledger"]["status"] == "answered"
    assert int(result["questions"]["ledger"]["answer"]["amount"]) > 0
    assert result["questions"]["contract"]["heard"] is True
    assert result["conservation"]["ok"] is True
