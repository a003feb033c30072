"""A relayer loses its database between its lock and its claim, on real chains, and claims all the same."""

import asyncio
import json
from pathlib import Path

import pytest

from core.model.identifiers import parse_asset
from core.model.types import BaseUnits
from gateway import wiring
from gateway.connect import connect
from htlc.model import Phase, SwapState
from htlc.timelocks import PRODUCTION_POLICY
from tests.gateway.test_cli import causeway
from tests.gateway.town import PASSPHRASE, RelayerProcess, town
from tests.support import eventually

pytestmark = [pytest.mark.long, pytest.mark.alone]

WAIT_S = 90.0


async def test_a_lost_database_costs_no_money(tmp_path: Path) -> None:
    async with town(tmp_path) as here:
        info = here.devnet.info
        relayer = here.relayer("unlucky", info.user("alice"), policy="production")
        keys = info.user("bob")
        secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
        lost = list[str]()

        async def before_reveal(swap: SwapState) -> None:
            """Both legs are locked, and the preimage is still the initiator's own."""
            if not lost:
                lost.append(swap.swap_id)
                await loses_everything(relayer, swap.swap_id)

        try:
            await relayer.start()
            await eventually(relayer.is_ready, WAIT_S)
            async with (
                wiring.connected(info.chains) as chains,
                connect(relayer.url, chains, secrets, tmp_path / "bob.sqlite", PRODUCTION_POLICY) as client,
            ):
                given, wanted = parse_asset(info.ether), parse_asset(info.yuan)
                agreed = await client.open(await client.quote(given, wanted, initiator_amount=BaseUnits(10**16)))
                outcome = await client.run(agreed, before_reveal=before_reveal)
            assert lost == [agreed.id]
            assert outcome.phase is Phase.COMPLETED

            async def claimed() -> bool:
                status, swap = await relayer.ask(f"/v1/swaps/{agreed.id}")
                return status == 200 and (swap["phase"], swap["role"]) == ("completed", "watchtower")

            await eventually(claimed, WAIT_S, 0.2)
            status, problem = await relayer.ask("/readyz")
            assert status == 503
            assert "causeway relayer adopt" in json.dumps(problem)
        finally:
            await relayer.end()


async def loses_everything(relayer: RelayerProcess, swap_id: str) -> None:
    await relayer.end()
    directory = relayer.file.parent
    for part in directory.glob("relayer.sqlite*"):
        part.unlink()
    command = "relayer", "restore", "--from-chain", "--json"
    shown = await asyncio.to_thread(causeway, *command, cwd=directory, CAUSEWAY_PASSPHRASE=PASSPHRASE)
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert [one["id"] for one in found["swaps"]] == [swap_id]
    assert found["alone"] == []
    await relayer.start()
