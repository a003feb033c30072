"""The documentation's chapter about founding, joining and leaving, executed by five people on real CometBFT nodes.

Each has a directory of its own. Only the files that the chapter says to send go from one to another.
"""

import asyncio
import json
import re
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.consortium import Ed25519Signer, connect, unsigned
from core.model.consortium import AttestHeader, Burn, Issue, Transfer, attested_header_key, caip_chain, quantity
from core.model.errors import RevertedError
from core.proofs.cometbft import json as comet_json
from core.runtime.sockets import free_port
from gateway.founding import progress
from gateway.sending import send
from local_chains.consortium.cometbft import CometNode
from local_chains.consortium.engine.home import load_genesis, load_operator_key
from local_chains.consortium.founding.organisation import load_own_terms, set_config
from tests.gateway.test_cli import causeway
from tests.local_chains.consortium.abci.comet import need_cometbft, reached, signed_header, state_at, validators
from tests.support import REPOSITORY, eventually

CHAPTER = REPOSITORY / "docs" / "consortium-chain.md"
CHAIN = "consortium-1"
SNAPSHOT_INTERVAL = 20
"""Long enough for a newcomer to fetch one: the newest two are there."""
START_S = 90.0
JOIN_S = 120.0

pytestmark = pytest.mark.long


@dataclass
class Person:
    """Somebody at a machine: a directory, two ports, and the node that runs in a terminal of its own."""

    name: str
    directory: Path
    peer_port: int = field(default_factory=free_port)
    rpc_port: int = field(default_factory=free_port)
    node: asyncio.subprocess.Process | None = None
    is_ready: bool = False

    @property
    def home(self) -> Path:
        return self.directory / self.name

    @property
    def rpc(self) -> str:
        return f"http://127.0.0.1:{self.rpc_port}"

    def comet(self) -> CometNode:
        """For questions to the node's RPC."""
        return CometNode(self.home)


class Town:
    """All five, and what they heard from each other by telephone."""

    def __init__(self, directory: Path) -> None:
        self.people = {name: Person(name, directory / name) for name in [f"bank-{letter}" for letter in "abcde"]}
        for person in self.people.values():
            (person.directory / "received").mkdir(parents=True)
        self.heard: dict[str, str] = {}

    def __getitem__(self, letter: str) -> Person:
        return self.people[f"bank-{letter}"]

    def here(self, command: str) -> str:
        """The same command on one machine, which has one port of each number only."""
        for letter in "abcde":
            command = command.replace(f"{letter}.example:26656", f"127.0.0.1:{self[letter].peer_port}")
            command = command.replace(f"http://{letter}.example:26657", self[letter].rpc)
        return re.sub(r"\$([A-Z]+)", lambda found: self.heard[found[1]], command)

    async def run(self, person: Person, command: str) -> tuple[int, str, str]:
        """(exit code, output, errors) of one line."""
        arguments = shlex.split(self.here(command))[1:]
        verb = arguments[1]
        if verb in ("init", "join") and len(arguments) > 3:
            arguments += ["--rpc-port", str(person.rpc_port)]
        if verb in ("members", "proposals", "propose", "vote", "appoint"):
            arguments += ["--rpc", person.rpc]
        ended = await asyncio.to_thread(causeway, *arguments, cwd=person.directory, COLUMNS="80")
        return ended.returncode, ended.stdout, ended.stderr

    async def start(self, person: Person) -> None:
        # Paces and snapshots for a test; everything else is as the commands made it.
        set_config(person.home, {("consensus", "timeout_commit"): "500ms"})
        set_config(person.home, {("causeway", "snapshot_interval"): SNAPSHOT_INTERVAL})
        person.node = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "chain", "run", person.name, "--json",
            cwd=person.directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def ready(self, person: Person) -> None:
        assert person.node is not None
        assert person.node.stdout is not None
        assert person.node.stderr is not None
        async with asyncio.timeout(START_S):
            line = await person.node.stdout.readline()
        assert line, (await person.node.stderr.read()).decode()
        assert json.loads(line)["url"] == person.rpc
        person.is_ready = True

    async def stop(self, person: Person) -> None:
        if person.node is not None and person.node.returncode is None:
            person.node.send_signal(signal.SIGTERM)
            assert await person.node.wait() == 0
        person.node = None


@asynccontextmanager
async def town_in(directory: Path) -> AsyncIterator[Town]:
    town = Town(directory)
    try:
        yield town
    finally:
        for person in town.people.values():
            if person.node is not None and person.node.returncode is None:
                person.node.send_signal(signal.SIGTERM)
                await person.node.wait()


def lines_of(title: str) -> list[tuple[str, str]]:
    """(who, line) of the chapter's section."""
    text = CHAPTER.read_text()
    section = text.split(f"### {title}\n")[1].split("\n### ")[0].split("\n## ")[0]
    who, found = "", []
    for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL):
        for line in block.strip().splitlines():
            if line.startswith("# at "):
                who = line.removeprefix("# at ")
            else:
                found.append((who, line))
    assert found
    return found


def deliver(town: Town, line: str) -> None:
    """`# send FILE to NAME…`: nothing but public files."""
    match = re.fullmatch(r"# send (\S+)/(application|config/genesis)\.json to (.+)", line)
    assert match, line
    sender, what, receivers = match.groups()
    name = "genesis.json" if "genesis" in what else f"{sender}.json"
    for receiver in receivers.split():
        shutil.copy(town.people[sender].home / f"{what}.json", town.people[receiver].directory / "received" / name)


async def at_once(_: str) -> None:
    """Nothing is to be waited for before any command."""


async def play(town: Town, title: str, printed: list[str], before: Callable[[str], Awaitable[None]] = at_once) -> None:
    """Execute a section and add to what was `printed`; `before` each command wait as a person would."""
    for who, line in lines_of(title):
        if line.startswith("# send"):
            deliver(town, line)
            continue
        person = town.people[who]
        await before(line)
        if line.startswith("causeway chain run"):
            await town.start(person)
            continue
        code, output, errors = await town.run(person, line)
        if line.startswith("causeway chain join") and "--genesis" in line and "--trust" not in line:
            # The one command that ends in a question.
            assert code == 1, output
            found = re.search(r"--trust (\d+):([0-9A-F]{64})", errors)
            assert found, errors
            town.heard["HEIGHT"], town.heard["BLOCK"] = found.groups()
            continue
        assert code == 0, (line, output, errors)
        printed.append(output)
        if found := re.search(r"genesis hash ([0-9a-f]{64})", output):
            assert town.heard.setdefault("HASH", found[1]) == found[1]


async def pay(town: Town, letter: str, message: Any, key: str = "operator_key.json") -> None:
    """Sign one message with a key of this home, send it to this person's own node, and return when every node that runs
    shows what it did: the next question goes to somebody else's, which may be a block behind."""
    person, name = town[letter], caip_chain(CHAIN)
    oldest = (await person.comet().call("status"))["sync_info"]
    # As the commands do: a node that began at a snapshot has no first block.
    known = None if oldest["earliest_block_height"] == "1" else bytes.fromhex(oldest["earliest_block_hash"])
    chain = await connect(person.rpc, name, genesis_hash=known)
    try:
        signer = Ed25519Signer(name, load_operator_key(person.home / key).seed)
        chain.learn(signer.public_key)
        transaction = unsigned(name, signer.account, (message,), "pay")
        height = await send(chain.access.transactions, chain.access.heads, signer, transaction)
    finally:
        await chain.close()
    # A node lists a block before it has applied it, and the next one only afterwards.
    await reached([other.comet() for other in town.people.values() if other.is_ready and other.node], height + 1)


async def test_five_people_found_join_and_leave_by_the_documentation(tmp_path: Path) -> None:
    need_cometbft()
    printed: list[str] = []
    async with town_in(tmp_path) as town:
        founders = [town[letter] for letter in "abcd"]
        await play(town, "Founding a chain", printed)
        await asyncio.gather(*(town.ready(person) for person in founders))
        await reached([person.comet() for person in founders], 2)
        # One genesis file, and no key of anybody in somebody else's directory.
        assert len({load_genesis(person.home / "config").hash for person in founders}) == 1
        assert load_genesis(town["a"].home / "config").hash.hex() == town.heard["HASH"]
        await money_moves(town)

        await joins(town, printed)
        await leaves(town, printed)
        for person in town.people.values():
            no_secret_of(person, town, printed)


async def money_moves(town: Town) -> None:
    account = load_own_terms(town["b"].home).account_address
    await pay(town, "a", Issue("cnyd", account, quantity(1_000)))
    await pay(town, "b", Transfer("cnyd", load_own_terms(town["d"].home).account_address, quantity(300)))
    with pytest.raises(RevertedError, match="insufficient-funds"):
        await pay(town, "b", Burn("cnyd", quantity(701)))


async def joins(town: Town, printed: list[str]) -> None:
    newcomer = town["e"]

    async def snapshot_there() -> None:
        async def offered() -> bool:
            answers = [await town[letter].comet().call("abci_query", path="/snapshots", data="") for letter in "ab"]
            listed = [comet_json.bytes_from_base64(answer["response"]["value"]) for answer in answers]
            return all(heights not in (b"", b"[]") for heights in listed)

        await eventually(offered, JOIN_S, 0.5)

    async def stage(expected: str) -> dict[str, Any]:
        async def there() -> dict[str, Any] | None:
            found = await progress(newcomer.home)
            return found if found["stage"] == expected else None

        found: dict[str, Any] | None = await eventually(there, JOIN_S, 1.0)
        assert found is not None
        return found

    async def before(line: str) -> None:
        if line.startswith("causeway chain join bank-e --name"):
            await snapshot_there()
        elif line == "causeway chain join bank-e" and not newcomer.is_ready:
            await town.ready(newcomer)
        elif line.startswith("causeway chain propose"):
            await stage("synced")
            # It has begun at the snapshot, and has none of the first blocks.
            status = await newcomer.comet().call("status")
            assert int(status["sync_info"]["earliest_block_height"]) > SNAPSHOT_INTERVAL
        elif line.startswith("causeway chain appoint"):
            town.heard["ATTESTOR"] = (await stage("member"))["organisation"]["attestor"]

    await play(town, "Joining a chain", printed, before)
    await stage("complete")
    await newcomer_signs(town, "e")
    # Its attestor attests: two of five others and it are not more than two thirds, one more is.
    header = AttestHeader("eip155:1", 7, b"h" * 32, 1_700_000_000)
    for letter in "abce":
        await pay(town, letter, header, "attestor_key.json")
    value, _, _ = await state_at(town["a"].comet(), attested_header_key("eip155:1", 7))
    assert value is not None


async def newcomer_signs(town: Town, letter: str) -> None:
    node, mine = town["a"].comet(), load_own_terms(town[letter].home).consensus_key.address

    async def signed() -> bool:
        newest = await signed_header(node, await node.height() - 1)
        return any(entry.validator_address == mine and entry.signature for entry in newest.commit.signatures)

    await eventually(signed, JOIN_S, 0.5)


async def leaves(town: Town, printed: list[str]) -> None:
    leaver = load_own_terms(town["d"].home)
    await play(town, "Leaving", printed)
    node = town["a"].comet()

    async def gone() -> bool:
        found = await validators(node, await node.height())
        return all(one.address != leaver.consensus_key.address for one in found.validators)

    await eventually(gone, JOIN_S, 0.5)
    # It still follows and may still pay; then it stops, and nobody misses it.
    await pay(town, "d", Transfer("cnyd", load_own_terms(town["b"].home).account_address, quantity(300)))
    await town.stop(town["d"])
    height = await node.height()

    async def further() -> bool:
        return await node.height() >= height + 3

    await eventually(further, JOIN_S, 0.2)
    await pay(town, "b", Burn("cnyd", quantity(1_000)))


def no_secret_of(person: Person, town: Town, printed: list[str]) -> None:
    """No private key of this person is in anybody's received files or was printed, and each file is 0600."""
    files = [person.home / name for name in ("priv_validator_key.json", "operator_key.json", "attestor_key.json")]
    files.append(person.home / "config" / "node_key.json")
    for file in files:
        assert file.stat().st_mode & 0o777 == 0o600, file
        document = json.loads(file.read_text())
        secret = document.get("seed") or document["priv_key"]["value"]
        for other in town.people.values():
            for received in (other.directory / "received").iterdir():
                assert secret not in received.read_text()
        assert not any(secret in text for text in printed)
