"""`docs/operating/first-swap.md` as it is written: from an empty directory to a swap, without a script."""

import json
import re
import shutil
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from core.runtime.sockets import free_port
from local_chains.evm import find_anvil
from tests.gateway.reader import DOCS, FENCE, Reader, block

PAGE = "operating/first-swap.md"
COLD = "0x5c9e7ba1b8c2a0c3b0c8d2f6f3a7d9e4b1a2c3d4"
"""The account of the page on money."""
PORTS = ("8545", "26657", "8645")
MOST_S = 180.0
"""The promise of the page. A machine that also runs other tests may take `SLOW_S`."""
SLOW_S = 3 * MOST_S
MISSING = [name for name in ("bash", "jq") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


class Page:
    """The page's blocks, with ports that are free here."""

    def __init__(self) -> None:
        self._ports = {port: str(free_port()) for port in PORTS}
        self.typed: list[str] = []

    def step(self, begins: str) -> str:
        """The block in which a line begins so."""
        text = block(PAGE, begins)
        self.typed.append(text)
        return re.sub("|".join(PORTS), lambda found: self._ports[found[0]], text)

    def exports(self) -> dict[str, str]:
        """The variables of the first block, with a passphrase instead of the page's `…`."""
        text = self.step("export CAUSEWAY_PASSPHRASE")
        found = dict(word.split("=", 1) for line in text.splitlines() for word in line.split()[1:])
        assert found.pop("CAUSEWAY_PASSPHRASE") == "…"
        return {**found, "CAUSEWAY_PASSPHRASE": "long enough, and secret"}


async def allow_cold(reader: Reader) -> None:
    """The destinations of the page on money, on these chains."""
    text = block("operating/money.md", "[treasury]").replace("eip155:1", "eip155:31337")
    with (reader.directory / "relayer.toml").open("a") as file:
        file.write("\n" + text.replace("consortium-1", "mine-1"))
    await reader.types("causeway relayer check --config relayer.toml")


def plain(text: str) -> list[str]:
    """The lines of a block without their comments."""
    return [line.partition("  #")[0].strip() for line in text.splitlines()]


async def take_out(reader: Reader) -> None:
    """The commands of the page on money, next to the running relayer."""
    balance, send, withdraw, rest, *_ = plain(block("operating/money.md", "causeway relayer balance"))
    assert "10,000.49" in await reader.types(balance)
    refused = await reader.start(send.replace("0x…", f"0x{'1' * 40}") + " --yes")
    shown, _ = await refused.communicate()
    assert refused.returncode == 1
    assert b"is not among [[treasury.destinations]]" in shown
    assert "paid  1.5 ETH" in await reader.types(send.replace("0x…", COLD) + " --yes")
    paid = await reader.types(f"{withdraw} --yes")
    assert "asked  0.5 ETH" in paid
    assert "paid  0.5 ETH" in paid
    assert "paid  987,625 CNYD" in await reader.types(f"{rest} --yes")


async def running_relayer_refuses(reader: Reader) -> None:
    """Who sends by the command itself while a relayer runs is refused, with nothing written."""
    process = await reader.start("causeway relayer send 0.1 eth " + COLD + " --now --yes")
    shown, _ = await process.communicate()
    assert process.returncode == 1, shown
    assert b"asked" not in (await reader.types("causeway relayer balance")).encode()


async def rotate(reader: Reader) -> None:
    """A new key, by the commands of the page on relayers, while the relayer runs: what the old one has follows it."""
    commands = plain(block("operating/relayer.md", "causeway relayer rotate eip155:1 --finish"))
    new, reload, sweep, finish, again = (line.replace("eip155:1", "eip155:31337") for line in commands)
    before = await accounts(reader)
    assert "opens swaps" in await reader.types(new)
    await reader.types(reload)
    both = await accounts(reader)
    assert set(before) < set(both)
    assert len(both) == len(before) + 1
    found = json.loads(await reader.types(f"{sweep} --wait --yes --json"))
    assert [(one["status"], one["asset"]) for one in found] == [("paid", "eip155:31337/slip44:60")]
    await reader.types(f"{finish} --yes")
    await reader.types(again)
    after = await accounts(reader)
    assert len(after) == len(before)
    assert set(after) - set(before) == set(both) - set(before)


async def accounts(reader: Reader) -> list[str]:
    """The accounts of the relayer, those that retire too."""
    shown = json.loads(await reader.types("causeway relayer balance --json"))
    return [one["account"] for one in shown["accounts"]]


async def test_empty_directory_becomes_a_first_swap(tmp_path: Path) -> None:
    page, reader = Page(), Reader(tmp_path, find_anvil().parent)
    reader.environment |= page.exports()
    begun_s = time.monotonic()
    async with AsyncExitStack() as terminals:
        await terminals.enter_async_context(reader.terminal(page.step("anvil --port"), "Listening on"))
        await reader.types(page.step("causeway keys new keystore.json issuer"))
        await terminals.enter_async_context(reader.terminal(page.step("causeway chain run"), "is ready at"))
        assert "the HashedTimelock of this version" in await reader.types(page.step("causeway contract verify"))
        assert " 0 red" in await reader.types(page.step("causeway relayer init"))
        await allow_cold(reader)
        async with reader.terminal(page.step("causeway relayer run"), "is ready at"):
            shown = await reader.types(page.step("mkdir somebody"))
            took_s = time.monotonic() - begun_s
            await take_out(reader)
            await running_relayer_refuses(reader)
            await rotate(reader)
    assert "completed  swap " in shown
    assert "0.5 ETH for 12,375 CNYD" in shown
    assert took_s < SLOW_S, f"{took_s:.0f} s"
    print(json.dumps({"first_swap_s": round(took_s, 1)}))
    blocks = [text for _, text in FENCE.findall((DOCS / PAGE).read_text(encoding="utf-8"))]
    assert blocks == page.typed, "every command of the page was typed, in its order"
