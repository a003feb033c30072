"""The committed artifacts are what the sources compile to."""

import copy
import json
from pathlib import Path

import pytest

from adapters.evm.contracts import build
from adapters.evm.contracts.artifacts import load_artifact


@pytest.fixture(scope="module")
def rebuilt() -> dict[str, str]:
    if not (build.REPOSITORY / "node_modules" / "solc").is_dir():
        pytest.skip("no compiler here: run `make setup`")
    return build.build_artifacts()


def test_a_rebuild_gives_the_committed_bytes(rebuilt: dict[str, str]) -> None:
    assert build.differences(rebuilt) == []


def test_a_difference_is_named(
    rebuilt: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = copy.copy(rebuilt)
    artifact = json.loads(changed["HashedTimelock.json"])
    artifact["bytecode"] = artifact["bytecode"][:-2] + "00"
    changed["HashedTimelock.json"] = json.dumps(artifact)
    monkeypatch.setattr(build, "build_artifacts", lambda: changed)
    assert build.main(["--check"]) == 1
    assert "HashedTimelock.json" in capsys.readouterr().err


def test_machine_without_the_compiler_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(build.BuildError, match="make setup"):
        build.build_artifacts(tmp_path)


def test_artifacts_load_without_a_compiler() -> None:
    artifact = load_artifact("HashedTimelock")
    assert artifact.contract == "HashedTimelock"
    assert artifact.deployed_bytecode in artifact.bytecode
