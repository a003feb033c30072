"""Orders on a whole devnet: its officers hold a user, and its relayer swaps with them again once that is lifted."""

import shutil
from pathlib import Path

import pytest

from gateway import orders
from gateway.devnet import Devnet, DevnetSettings
from gateway.orders import Wanted
from local_chains.consortium.node import load_operator_key
from regulator_api.drafts import OrderDraft, half_of
from tests.gateway.reader import Reader

DIRECTORY = Path(".causeway/devnet")

pytestmark = [
    pytest.mark.long,
    pytest.mark.alone,
    pytest.mark.skipif(shutil.which("bash") is None, reason="not installed: bash"),
]


async def test_held_user_gets_no_swap_until_the_order_is_lifted(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    async with Devnet(DevnetSettings(tmp_path / DIRECTORY, users=("alice",))) as devnet:
        info = devnet.info
        url = info.chain("consortium").endpoints[0].url
        (li, li_account), (wang, wang_account) = info.officers.items()

        async def submitted(name: str, draft: OrderDraft) -> str:
            seed = load_operator_key(tmp_path / DIRECTORY / "officers" / f"{name}.json").seed
            found = await orders.submit(url, orders.sign(half_of(draft), seed))
            return str(found["order"]["status"])

        held = info.user("alice").consortium_account
        assert await submitted(li, await orders.prepare(url, li_account, Wanted(held, "a trial", "1", 1))) == "prepared"
        assert await submitted(wang, await orders.approve(url, wang_account, 1)) == "in-force"
        refused = await reader.types("causeway swap 0.01 eth cnyd 2>&1 || true")
        assert f"makes no swap with {held}: order 1 holds it" in refused.replace("\n", " ")
        shown = await reader.types(f"causeway query {info.consortium}/holds/{held.rpartition(':')[2]} --json")
        assert f"order 1 holds {held} until" in shown
        assert await submitted(wang, await orders.lift(url, wang_account, 1, "it was one")) == "in-force"
        assert await submitted(li, await orders.approve(url, li_account, 1)) == "lifted"
        assert "completed" in await reader.types("causeway swap 0.01 eth cnyd")
