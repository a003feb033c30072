"""A devnet with something on each page of the console: what a supervisor's day leaves behind."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec.structs import replace

from adapters.consortium.messages import write_record
from core.model.types import AssetId
from gateway import operating, orders, wiring
from gateway.config import LimitConfig, RelayerConfig, load
from gateway.connect import connect
from gateway.devnet import Devnet
from gateway.devnet.info import DevnetInfo
from gateway.orders import Wanted
from gateway.sending import send
from htlc.timelocks import PRODUCTION_POLICY
from local_chains.consortium.node import load_operator_key
from regulator_api.drafts import OrderDraft, half_of
from tests.console.conftest import swap

SWAPS: Final = (
    ("0.05", "eth", "cnyd", "alice"),
    ("400", "cnyd", "eth", "alice"),
    ("25", "usdx", "cnyd", "bob"),
    ("0.02", "eth", "cnyd", "carol"),
)
NAMESPACE: Final = "provenance"
KEY: Final = "tea-2026-0417"
DOCUMENTS: Final[tuple[dict[str, Any], ...]] = (
    {"batch": "2026-0417", "farm": "Xihu", "harvested": "2026-04-05", "kilograms": 120},
    {"batch": "2026-0417", "farm": "Xihu", "harvested": "2026-04-05", "kilograms": 118, "inspected": "2026-04-19"},
)


async def furnish(devnet: Devnet) -> None:
    """Swaps there and back, one of them under way; records, lists, a proposed rule, orders, and a case."""
    info, directory = devnet.info, devnet.settings.directory
    for amount, give, get, user in SWAPS:
        await swap(directory, amount, give, get, user)
    await _records(info)
    await _orders(info, directory)
    await opens(devnet)
    async with aiohttp.ClientSession() as http:
        await _known(http, info)
        await _asked(
            http,
            info,
            "librarian",
            "/v1/rules",
            {"typology": "structuring", "parameters": {"threshold": 50_000}, "reason": "thresholds were raised"},
        )


async def opens(devnet: Devnet) -> str:
    """Agree on a swap, with a proof of funds, for which its initiator has not locked yet; return its id."""
    info = devnet.info
    [relayer], dave = info.relayers.values(), info.user("dave")
    secrets = {info.ethereum: bytes.fromhex(dave.ethereum), info.consortium: bytes.fromhex(dave.consortium)}
    store = devnet.settings.directory / "dapps" / "furnished.sqlite"
    async with (
        wiring.connected(info.chains) as chains,
        connect(relayer, chains, secrets, store, PRODUCTION_POLICY) as client,
    ):
        quote = await client.quote(AssetId(info.ether), AssetId(info.yuan), initiator_amount=3 * 10**16)
        return str((await client.open(quote)).id)


async def opens_case(info: DevnetInfo) -> str:
    """A case of whatever alerts there are, with a note, which one officer wants to close; return its id."""
    async with aiohttp.ClientSession() as http:
        headers = _headers(info, "officer")
        async with http.get(f"{info.regulator}/v1/alerts", headers=headers) as answer:
            alerts = [one["id"] for one in (await answer.json())["items"]][:2]
        case = await _asked(
            http, info, "officer", "/v1/cases", {"title": "Dealings of a listed account", "alerts": alerts}
        )
        place = f"/v1/cases/{case['id']}"
        note = "Both swaps have the listed account as their initiator; the value went on to one account of the ledger."
        await _asked(http, info, "officer", f"{place}/notes", {"text": note})
        await _asked(http, info, "officer", f"{place}/close", {"outcome": "referred", "reason": "For others to judge."})
        return str(case["id"])


@asynccontextmanager
async def operated(devnet: Devnet) -> AsyncIterator[str]:
    """The operator's console of the devnet's relayer, with limits of exposure, which a devnet has none of; gives the
    address that lets its holder in."""
    [daemon] = devnet.relayers.values()
    file = Path(daemon.arguments[daemon.arguments.index("--config") + 1])
    os.environ.update(daemon.environment)
    config = load(file, RelayerConfig)
    limits = [
        LimitConfig(asset=asset, total=most, per_counterparty=most * 2 // 5, per_window=most * 4 // 5)
        for asset, most in ((devnet.info.yuan, 200_000), (devnet.info.ether, 5 * 10**18))
    ]
    async with operating.served(replace(config, limits=tuple(limits)), file.parent, 0) as address:
        yield address


async def _records(info: DevnetInfo) -> None:
    async with wiring.connected([info.chain("consortium")]) as chains:
        connected = chains[info.consortium]
        signer = connected.signer(bytes.fromhex(info.user("alice").consortium))
        for document in DOCUMENTS:
            raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
            written = write_record(signer.account, NAMESPACE, KEY, raw)
            await send(connected.access.transactions, connected.access.heads, signer, written)


async def _orders(info: DevnetInfo, directory: Path) -> None:
    """One in force, by two officers; one that waits for the second."""
    url = info.chain("consortium").endpoints[0].url
    (li, li_account), (wang, wang_account) = info.officers.items()

    async def submitted(name: str, draft: OrderDraft) -> None:
        seed = load_operator_key(directory / "officers" / f"{name}.json").seed
        await orders.submit(url, orders.sign(half_of(draft), seed))

    held = Wanted(info.user("bob").consortium_account, "the court's order of 12 May", "case-7", 30)
    await submitted(li, await orders.prepare(url, li_account, held))
    await submitted(wang, await orders.approve(url, wang_account, 1))
    asked = Wanted(info.user("carol").consortium_account, "a payment that is looked at", "case-9", 3)
    await submitted(li, await orders.prepare(url, li_account, asked))


async def _known(http: aiohttp.ClientSession, info: DevnetInfo) -> None:
    """Three versions of what is known: an entity, a tag, and the tag as it was corrected."""
    entity = {"id": "west-lake-trading", "name": "West Lake Trading", "jurisdiction": "CN"}
    await _asked(http, info, "librarian", "/v1/entities", entity)
    tag = {
        "account": info.user("alice").ethereum_account,
        "label": "West Lake Trading",
        "entity": entity["id"],
        "category": "sanctioned",
        "source": "the register of 2026",
        "valid_from_s": 1,
    }
    for confidence in (60, 100):
        await _asked(http, info, "librarian", "/v1/tags", {**tag, "confidence": confidence})


def _headers(info: DevnetInfo, role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {info.regulator_tokens[role]}", "X-Purpose": "a day's work"}


async def _asked(
    http: aiohttp.ClientSession, info: DevnetInfo, role: str, path: str, body: Mapping[str, Any]
) -> dict[str, Any]:
    async with http.post(f"{info.regulator}{path}", json=body, headers=_headers(info, role)) as answer:
        found: dict[str, Any] = await answer.json()
    assert answer.status in (200, 201), found
    return found
