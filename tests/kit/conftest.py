"""The kit, compiled once for all tests of a process."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the compiled modules. Skip without Node and TypeScript."""
    tsc = ROOT / "node_modules/.bin/tsc"
    if shutil.which("node") is None or not tsc.exists():
        pytest.skip("no Node with TypeScript here: `make setup` installs it")
    made = tmp_path_factory.mktemp("kit") / "dist"
    built = subprocess.run(
        [tsc, "--project", ROOT / "kit/tsconfig.json", "--outDir", made],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert built.returncode == 0, built.stdout
    (made.parent / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (made.parent / "node_modules").symlink_to(ROOT / "node_modules")
    return made
