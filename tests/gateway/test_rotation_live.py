"""A running relayer changes both its accounts over anvil and an embedded chain, with ten swaps in flight."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from core.model.errors import ConflictError
from core.model.identifiers import parse_asset
from core.model.types import AccountId, BaseUnits, chain_of
from core.runtime.database import open_database
from gateway import rotation, treasury, wiring
from gateway.accounts import collect_accounts
from gateway.config import RelayerConfig, load
from gateway.connect import connect
from gateway.devnet.info import Keys
from gateway.rotation import Successor
from htlc.model import Phase, SwapState
from htlc.timelocks import PRODUCTION_POLICY
from relayer.client import SwapClient
from relayer.pump import tables
from relayer.retirements import left_to_do
from tests.gateway.town import PASSPHRASE, RelayerProcess, Town, town
from tests.support import eventually

WAIT_S = 120.0
COMMAND_S = 300.0
USERS = ("alice", "bob")
EACH = 5
GIVEN = 10**16
PER_UNIT = 500_000_000_000
"""Wei for one base unit of the ledger's asset."""
DUST_WEI = 10**15
"""More than the fee of a transfer: what is less cannot be swept."""


class Operator:
    """The relayer's operator, at the command line."""

    def __init__(self, running: RelayerProcess) -> None:
        self.running = running

    async def asks(self, *words: str) -> tuple[int, str, str]:
        """Exit code, standard output and error of `causeway relayer …`: a keystore takes its time on a slow machine."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "relayer", *words, cwd=self.running.file.parent,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "CAUSEWAY_PASSPHRASE": PASSPHRASE, "ETH_HASH_BACKEND": "pysha3", "NO_COLOR": "1"},
        )  # fmt: skip
        try:
            async with asyncio.timeout(COMMAND_S):
                out, error = await process.communicate()
        except TimeoutError:
            process.kill()
            raise
        return await process.wait(), out.decode(), error.decode()

    async def says(self, *words: str) -> Any:
        """The answer of a command in JSON."""
        code, out, error = await self.asks(*words, "--json")
        assert code == 0, out + error
        return json.loads(out)

    # The other commands are called in this process, which has loaded everything by now.

    @property
    def config(self) -> RelayerConfig:
        return load(self.running.file, RelayerConfig)

    async def rotate(self, chain: str) -> str:
        return (await asyncio.to_thread(rotation.rotate, self.running.file, chain, Successor())).account

    async def reload(self) -> None:
        before = len(self.running.logged("reloaded"))
        self.running.send(signal.SIGHUP)
        await eventually(lambda: len(self.running.logged("reloaded")) > before, WAIT_S, 0.2)

    async def accounts(self) -> list[tuple[str, str]]:
        found = await collect_accounts(self.config, self.running.file.parent)
        return [(one["account"], one["duty"]) for one in found]

    async def held(self) -> dict[str, int]:
        """Base units of the asset that is traded, by account."""
        found = {}
        for one in (await treasury.look(self.config, self.running.file.parent)).accounts:
            [traded] = [asset.id for asset in one.assets if asset.symbol in ("ETH", "CNYD")]
            found[one.account] = int(one.purse.held[traded])
        return {str(account): amount for account, amount in found.items()}


@pytest.mark.long
@pytest.mark.alone
async def test_both_accounts_rotate_with_ten_swaps_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAUSEWAY_PASSPHRASE", PASSPHRASE)
    async with town(tmp_path, ("operator", *USERS)) as here:
        running = here.relayer("relayer", here.devnet.info.user("operator"), policy="production")
        operator = Operator(running)
        try:
            await running.start()
            await eventually(running.is_ready, WAIT_S)
            old = [account for account, _ in await operator.accounts()]
            rotated = asyncio.Event()
            swapping = asyncio.create_task(swap_all(here, running, rotated))
            try:
                await eventually(lambda: in_flight(running), WAIT_S, 0.5)
                first, second = (chain_of(AccountId(one)) for one in old)
                new = [(await operator.says("rotate", first))["account"], await operator.rotate(second)]
                await operator.reload()
                assert await operator.accounts() == [
                    *((one, "swaps") for one in new),
                    *((one, "retiring") for one in old),
                ]
                swept = await operator.says("sweep", "--retiring", "--yes", "--wait")
                assert {one["status"] for one in swept} == {"paid"}
                assert {one["receiver"] for one in swept} == set(new)
                with pytest.raises(ConflictError, match="open swaps"):
                    await rotation.finish(running.file, first)
                rotated.set()
                assert Counter(await swapping) == {Phase.COMPLETED: EACH * len(USERS)}
            finally:
                swapping.cancel()
                await asyncio.gather(swapping, return_exceptions=True)
            await eventually(lambda: nothing_left(running, old), WAIT_S, 0.5)
            await with_the_new_accounts(here, running, new)
            await is_taken_out(operator, old, new)
        finally:
            await running.end()


async def is_taken_out(operator: Operator, old: list[str], new: list[str]) -> None:
    swept = await operator.says("sweep", "--retiring", "--yes", "--wait")
    assert {one["status"] for one in swept} == {"paid"}
    held = await operator.held()
    assert held[old[1]] == 0
    assert held[old[0]] < DUST_WEI
    said = operator.running.logged("an account has ended what it began: empty it and take it out")
    assert sorted(one["account"] for one in said) == sorted(old)
    for one in old:
        chain = chain_of(AccountId(one))
        assert await rotation.finish(operator.running.file, chain) == [one]
    await operator.reload()
    assert await operator.accounts() == [(one, "swaps") for one in new]


async def swap_all(here: Town, running: RelayerProcess, rotated: asyncio.Event) -> list[Phase]:
    """Half each way. Some users hold their locks back until the relayer has rotated, the others their preimages."""
    info = here.devnet.info

    async def hold(_: SwapState) -> None:
        await rotated.wait()

    async with wiring.connected(info.chains) as chains:

        async def swaps_of(keys: Keys) -> list[Phase]:
            secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
            store = here.directory / f"{keys.name}.sqlite"
            async with connect(running.url, chains, secrets, store, PRODUCTION_POLICY) as client:
                made = (one_swap(client, info.ether, info.yuan, number, hold) for number in range(EACH))
                return await asyncio.gather(*made)

        found = await asyncio.gather(*(swaps_of(info.user(name)) for name in USERS))
        return [phase for some in found for phase in some]


Hold = Callable[[SwapState], Awaitable[None]]


async def one_swap(client: SwapClient, ether: str, yuan: str, number: int, hold: Hold) -> Phase:
    backwards = number % 2 == 1
    give, get = (yuan, ether) if backwards else (ether, yuan)
    amount = BaseUnits(GIVEN // PER_UNIT if backwards else GIVEN)
    quote = await client.quote(parse_asset(give), parse_asset(get), initiator_amount=amount)
    agreed = await client.open(quote)
    held_back = {"before_lock": hold} if number == 0 else {"before_reveal": hold}
    return (await client.run(agreed, **held_back)).phase  # type: ignore[arg-type]


async def in_flight(running: RelayerProcess) -> bool:
    """Every swap is agreed, and all but one of each user are funded."""
    database = open_database(f"sqlite:///{running.file.parent / 'relayer.sqlite'}")
    try:
        phases = Counter(row.phase for row in await database.read(lambda c: tables.list_rows(c, 100)))
    finally:
        await database.close()
    return phases == {Phase.AGREED: len(USERS), Phase.BOTH_LOCKED: (EACH - 1) * len(USERS)}


async def nothing_left(running: RelayerProcess, accounts: list[str]) -> bool:
    database = open_database(f"sqlite:///{running.file.parent / 'relayer.sqlite'}")
    try:
        left = [await database.read(lambda c, a=AccountId(one): left_to_do(c, a)) for one in accounts]  # type: ignore[misc]
    finally:
        await database.close()
    return sum(one.total for one in left) == 0


async def with_the_new_accounts(here: Town, running: RelayerProcess, new: list[str]) -> None:
    """A swap of its own each way, by the new accounts from their first lock on."""
    info, keys = here.devnet.info, here.devnet.info.user("alice")
    secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
    async with wiring.connected(info.chains) as chains:
        store = here.directory / "later.sqlite"
        async with connect(running.url, chains, secrets, store, PRODUCTION_POLICY) as client:
            for give, get, amount in (
                (info.ether, info.yuan, GIVEN),
                (info.yuan, info.ether, GIVEN // PER_UNIT),
            ):
                quote = await client.quote(parse_asset(give), parse_asset(get), initiator_amount=BaseUnits(amount))
                assert {quote.participant_receiver, quote.participant_sender} == set(new)
                assert (await client.run(await client.open(quote))).phase is Phase.COMPLETED
