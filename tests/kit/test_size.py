"""The kit's weight in a page, as a bundler makes it of all entries."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURE = Path(__file__).resolve().parent / "size.mjs"
MOST_BYTES = 60_000
"""Minified and compressed, of everything in the kit that a page loads at once; viem is the dApp's own."""


def test_kit_is_small_and_loads_seldom_parts_later(kit: Path) -> None:
    if not (ROOT / "node_modules/esbuild").exists():
        pytest.skip("no esbuild here: `make setup` installs it")
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run([node, MEASURE, kit], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(f"the kit: {found['first']['bytes']} bytes at once, {found['later']['bytes']} later")
    assert 0 < found["first"]["bytes"] <= MOST_BYTES
    assert found["later"]["bytes"] > 0
    assert any("bls12-381" in one for one in found["later"]["modules"])
    assert any("secp256k1" in one for one in found["later"]["modules"])
    seldom = ("bls12-381", "secp256k1", "weierstrass", "evidence/sync")
    assert not [one for one in found["first"]["modules"] if any(part in one for part in seldom)]
    assert found["outside"] == ["viem"], "pages ask nothing else of the dApp"
