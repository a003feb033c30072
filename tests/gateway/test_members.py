"""`causeway chain members`, `propose` and `vote` against a running chain."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from core.model.consortium import attestor_key, raw_address
from core.model.errors import RejectedError, RevertedError
from gateway.cli import members as member_commands
from gateway.daemons.chain import make_chain_home
from gateway.members import WantedTerms, propose, vote
from local_chains.consortium.engine.home import load_operator_key
from local_chains.consortium.founding.organisation import Wanted, make_organisation
from local_chains.consortium.ledger.admission import Standing, standing
from local_chains.consortium.node import ConsortiumNode, Pace
from tests.gateway.test_cli import causeway
from tests.support import eventually

MINT = "ab" * 20


@pytest_asyncio.fixture
async def node(tmp_path: Path) -> AsyncIterator[ConsortiumNode]:
    make_chain_home(tmp_path / "home", "test-1", 4, "secp256k1eth", [])
    async with ConsortiumNode(tmp_path / "home", pace=Pace(interval_s=0.1)) as running:

        async def began() -> bool:
            return running.engine.tip.height > 0

        await eventually(began)
        yield running


async def run(node: ConsortiumNode, home: Path, *arguments: str, operator: int | None = None) -> Any:
    """The JSON of a command, or its error."""
    options = ["--rpc", node.rpc_url, "--json"]
    if operator is not None:
        options += ["--key", str(home / f"validators/{operator}/operator_key.json")]
    ended = await asyncio.to_thread(causeway, "chain", *arguments, *options, cwd=home)
    return json.loads(ended.stdout) if ended.returncode == 0 else (ended.returncode, ended.stderr)


async def test_issuer_comes_in_by_votes_and_a_validators_power_changes(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    found = await run(node, home, "members")
    assert [(one["name"], one["roles"], one["power"]) for one in found["organisations"]] == [
        (f"validator-{index}", ["validator"], 10) for index in range(4)
    ]
    made = await run(node, home, "propose", "mint", "--account", MINT, "--role", "issuer", operator=0)
    assert (made["proposal"]["status"], made["proposal"]["power_for"]) == ("open", 0.25)
    assert raw_address(made["proposal"]["organisation"]["account"]).hex() == MINT
    assert made["proposal"]["changes"]["roles"] == {"now": None, "then": ["issuer"]}
    assert (await run(node, home, "vote", "1", "--yes", operator=1))["proposal"]["status"] == "open"
    again = await run(node, home, "vote", "1", "--yes", operator=1)
    assert again[0] == 1
    assert "duplicate-vote" in again[1]
    assert (await run(node, home, "vote", "1", "--yes", operator=2))["proposal"]["status"] == "passed"
    # What is not named stays as it is.
    assert (await run(node, home, "propose", "validator-3", "--power", "5", operator=0))["proposal"]["number"] == 2
    [open_one, passed] = await run(node, home, "proposals")
    assert open_one["changes"] == {"power": {"now": 10, "then": 5}}
    assert (open_one["version"], passed["power_for"], passed["status"]) == (2, 0.75, "passed")
    for operator in (1, 2):
        await run(node, home, "vote", "2", "--yes", operator=operator)
    found = await run(node, home, "members")
    assert [(one["name"], one["roles"], one["power"]) for one in found["organisations"][-2:]] == [
        ("validator-3", ["validator"], 5),
        ("mint", ["issuer"], 0),
    ]


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (WantedTerms("mint", roles=["issuer"]), "name the --account"),
        (WantedTerms("mint", "xyz", ["issuer"]), "40 hex digits"),
        (WantedTerms("mint", MINT[:-1] + " ", ["issuer"]), "40 hex digits"),
        (WantedTerms("mint", f"causeway:elsewhere-1:{MINT}", ["issuer"]), "not an account of causeway:"),
        (WantedTerms("mint", f"eip155:1:0x{MINT}", ["issuer"]), "not an account of causeway:"),
        (WantedTerms("mint", MINT, ["king"]), "unknown role 'king'"),
        (WantedTerms("mint", MINT, ["validator"]), "--consensus-key and --power"),
        (WantedTerms("mint", MINT, ["validator"], "ed25519:xy", 3), "KIND:HEX"),
        (WantedTerms("mint", MINT, ["issuer"], power=3), "only an organisation with"),
        (WantedTerms("validator-3", power=24), "at most a third"),
        (WantedTerms("validator-3", roles=["validator"], consensus_key="ed25519:" + "00" * 32), "bad-organisation"),
    ],
)
async def test_terms_that_cannot_be_are_refused(
    node: ConsortiumNode, tmp_path: Path, wanted: WantedTerms, sentence: str
) -> None:
    with pytest.raises(RejectedError, match=sentence):
        await propose(node.rpc_url, tmp_path / "home/validators/0/operator_key.json", wanted)


async def test_operator_answers_for_an_account_and_ends_it(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert (await run(node, home, "admit", MINT, operator=2))["admitted"] is True
    assert standing(node.engine.state, bytes.fromhex(MINT)) is Standing.ADMITTED
    refused = await run(node, home, "admit", MINT, operator=1)
    assert "bad-organisation" in refused[1]
    assert (await run(node, home, "admit", MINT, "--end", operator=2))["admitted"] is False
    assert standing(node.engine.state, bytes.fromhex(MINT)) is Standing.STRANGER


async def test_only_operators_vote_and_only_on_what_is_there(node: ConsortiumNode, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger.json"
    stranger.write_text('{"type": "ed25519", "seed": "' + "07" * 32 + '"}')
    for key, word in (
        (stranger, "missing-role"),
        (tmp_path / "home/validators/0/operator_key.json", "unknown-proposal"),
    ):
        with pytest.raises(RevertedError, match=word):
            await vote(node.rpc_url, key, 7, True)


async def test_tables_fit_a_terminal_of_80_columns_and_cut_nothing(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    await run(node, home, "propose", "validator-3", "--power", "5", operator=0)
    await run(node, home, "propose", "mint", "--account", MINT, "--role", "issuer", "--role", "notary", operator=0)
    for command in ("members", "proposals"):
        shown = await asyncio.to_thread(causeway, "chain", command, "--rpc", node.rpc_url, cwd=home, COLUMNS="80")
        assert shown.returncode == 0, shown.stderr
        assert max(len(line) for line in shown.stdout.splitlines()) <= 80
        assert "…" not in shown.stdout
        without_breaks = "".join(shown.stdout.split())
        assert "10(25.0%),against0" in without_breaks
        assert "5(14.3%)" in without_breaks
        assert "issuer,notary" in without_breaks
    # Addresses stand on one line each, to be copied.
    members = await asyncio.to_thread(causeway, "chain", "members", "--rpc", node.rpc_url, cwd=home, COLUMNS="80")
    operator = load_operator_key(home / "validators/0/operator_key.json")
    assert operator.address.hex() in members.stdout


async def test_newcomer_is_proposed_by_the_file_that_it_signed(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    newcomer = make_organisation(tmp_path / "five", Wanted("test-1", "five", "e.example:1", 1, 5, ("notary",)))
    made = await run(node, home, "propose", "--application", str(tmp_path / "five/application.json"), operator=0)
    wanted = made["proposal"]["organisation"]
    assert wanted["consensus_key"] == f"secp256k1eth:{newcomer.key}"
    assert (wanted["name"], wanted["power"], wanted["roles"]) == ("five", 5, ["notary", "validator"])
    assert raw_address(wanted["account"]) == newcomer.account_address
    make_organisation(tmp_path / "other", Wanted("test-2", "six", "f.example:1", 1))
    refused = await run(node, home, "propose", "--application", str(tmp_path / "other/application.json"), operator=0)
    assert (refused[0], "applies to causeway:test-2" in refused[1]) == (1, True)
    forged = (tmp_path / "five/application.json").read_text().replace('"power": 5', '"power": 6')
    (tmp_path / "forged.json").write_text(forged)
    refused = await run(node, home, "propose", "--application", str(tmp_path / "forged.json"), operator=0)
    assert (refused[0], "signature of its account key is wrong" in refused[1]) == (1, True)


async def test_operator_appoints_an_attestor_that_is_admitted(node: ConsortiumNode, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert (await run(node, home, "appoint", MINT, operator=1))["attestor"].endswith(MINT)
    operator = load_operator_key(home / "validators/1/operator_key.json").address
    assert node.engine.state.get(attestor_key(operator)) == bytes.fromhex(MINT)
    assert standing(node.engine.state, bytes.fromhex(MINT)) is Standing.ADMITTED
    # Again is harmless; it is admitted already.
    assert (await run(node, home, "appoint", MINT, operator=1))["attestor"].endswith(MINT)
    refused = await run(node, home, "appoint", MINT, operator=2)
    assert "attests for another operator" in refused[1]
    assert (await run(node, home, "appoint", "", operator=1))["attestor"] is None
    assert node.engine.state.get(attestor_key(operator)) is None


def test_vote_that_ends_at_an_absurd_time_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A node says so; nothing of it is proven."""
    one = {"number": 1, "status": "open", "organisation": {"name": "mint"}, "expires_ms": 2**63, "changes": {}}
    power = {"for": 10, "against": 0, "total": 40}
    member_commands._print_proposals([{**one, "power": power, "of_power": {"now": 40, "then": 40}}])
    assert f"may be voted on until Unix time {2**63 // 1_000}" in capsys.readouterr().out
