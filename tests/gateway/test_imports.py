"""A command pays for its own work: what `--help` and `status` import, which decides how long they take."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import gateway.config
import gateway.devnet
import relayer.api
import relayer.client
from core.runtime.lazy import lazily

ROOMS = ("core", "adapters", "htlc", "indexer", "local_chains", "relayer", "regulator_api", "gateway")
LIGHT = {
    *("gateway", "gateway.cli", "core", "core.model", "core.model.errors", "core.model.types"),
    *("core.runtime", "core.runtime.logging", "core.runtime.repeats"),
}
"""Modules of ours that help needs, next to those of commands."""
LIBRARIES = {
    *("aiohttp", "apscheduler", "asyncpg", "eth_account", "nacl", "prometheus_client", "requests"),
    *("sqlalchemy", "web3", "websockets"),
}
"""Those that take long to import. (Typer itself loads pydantic for the options of a command.)"""
RUN = """
import json, sys
from gateway.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def imported(*words: str, directory: Path) -> set[str]:
    """The modules of a process that has run this command."""
    command = [sys.executable, "-c", RUN, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=directory)
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["relayer", "--help"], ["relayer", "run", "--help"]])
def test_help_imports_the_command_line_alone(words: list[str], tmp_path: Path) -> None:
    found = imported(*words, directory=tmp_path)
    ours = {name for name in found if name.split(".")[0] in ROOMS and not name.startswith("gateway.cli.")}
    assert ours - LIGHT <= {"core.runtime.version"}
    assert found & LIBRARIES == set()


def test_status_imports_no_chain_and_no_engine(tmp_path: Path) -> None:
    found = imported("status", "--dir", str(tmp_path), directory=tmp_path)
    assert "relayer.client.api" in found
    rooms = {name.split(".")[0] for name in found}
    assert (
        rooms & {"adapters", "local_chains", "indexer", "regulator_api", "web3", "eth_account", "apscheduler"} == set()
    )
    assert {name for name in found if name.startswith(("relayer.pump", "relayer.transactions"))} == set()


@pytest.mark.parametrize(
    "package", [gateway.config, gateway.devnet, relayer.api, relayer.client], ids=lambda one: str(one.__name__)
)
def test_a_package_whose_names_come_late_has_all_of_them(package: ModuleType) -> None:
    names: list[str] = package.__all__
    assert len(names) >= 2
    for name in names:
        assert getattr(package, name) is not None, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


def test_a_late_name_is_kept_once_it_was_asked_for() -> None:
    find = lazily("relayer.client", {"RelayerApi": "relayer.client.api"})
    del relayer.client.RelayerApi
    found = find("RelayerApi")
    assert vars(relayer.client)["RelayerApi"] is found
