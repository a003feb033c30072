"""The stage that all stories of the demo share: the devnet, its chains, the timeline, and the supervision view."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote as percent_encoded

import aiohttp

from adapters.registry import ConnectedChain
from core.model.errors import RetryableError
from core.model.types import Asset, AssetId, ChainId
from gateway.amounts import readable
from gateway.connect import connect
from gateway.devnet import Devnet
from gateway.devnet.info import Keys
from gateway.timeline import Timeline
from htlc.timelocks import DEVNET_POLICY
from relayer.client import SwapClient, SwapProgress, SwapStep

LOOK_S: Final = 0.25
PATIENCE_S: Final = 75.0

SHOWN: Final = frozenset(
    {
        SwapStep.LOCKED,
        SwapStep.PARTICIPANT_LOCKED,
        SwapStep.PARTICIPANT_VERIFIED,
        SwapStep.CLAIMED,
        SwapStep.PARTICIPANT_CLAIMED,
        SwapStep.REFUNDED,
        SwapStep.CALLED_OFF,
    }
)


@dataclass(slots=True)
class Stage:
    """The running devnet as a story sees it. `http` carries the supervision key."""

    devnet: Devnet
    chains: Mapping[ChainId, ConnectedChain]
    timeline: Timeline
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def client(self, user: str, relayer: str, name: str) -> AsyncIterator[SwapClient]:
        """A dApp of one user with one relayer; `name` is that of its store."""
        keys: Keys = self.devnet.info.user(user)
        info = self.devnet.info
        secrets = {info.ethereum: bytes.fromhex(keys.ethereum), info.consortium: bytes.fromhex(keys.consortium)}
        store = self.devnet.settings.directory / "dapps" / f"{name}.sqlite"
        async with connect(info.relayers[relayer], self.chains, secrets, store, DEVNET_POLICY) as client:
            yield client

    def amount(self, asset: str, units: int) -> str:
        """An amount as people read it, such as `0.5 ETH`."""
        return readable(self.asset(asset), units)

    def asset(self, asset: str) -> Asset:
        return self.chains[ChainId(asset.split("/")[0])].access.parameters.assets[AssetId(asset)]

    def reporter(self, story: str) -> Callable[[SwapProgress], None]:
        """Show the steps of a swap that people want to see."""

        def show_step(made: SwapProgress) -> None:
            if made.step not in SHOWN:
                return
            place = ""
            if made.chain is not None and made.height is not None:
                place = f"  {self.timeline.names[made.chain]} block {made.height}"
            transaction = f"  tx {made.tx_hash.hex()[:12]}…" if made.tx_hash is not None else ""
            self.timeline.show(story, f"{made.message}{place}{transaction}")

        return show_step

    # --- the supervision view ------------------------------------------------------------------------------------

    async def supervision(self, path: str) -> Any:
        """A document of the supervision API. Raise `RetryableError` if it answers with a problem."""
        headers = {"X-API-Key": self.devnet.info.regulator_key, "X-Purpose": "demonstration"}
        async with self.http.get(self.devnet.info.regulator + path, headers=headers) as response:
            document = await response.json()
            if response.status != 200:
                raise RetryableError(f"{path}: {document.get('detail', response.status)}")
            return document

    async def supervised(self, swap_id: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The swap as a regulator sees it, once it is as `done` says. Raise `RetryableError` after `PATIENCE_S`."""
        return dict(await self.until(f"/v1/swaps/{percent_encoded(swap_id)}", "swap", done))

    async def until(self, path: str, member: str, done: Callable[[Any], bool]) -> Any:
        """A member of a supervision document, once it is as `done` says."""
        seen: Any = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    try:
                        seen = (await self.supervision(path))[member]
                        if done(seen):
                            return seen
                    except RetryableError as error:
                        seen = error.message
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise RetryableError(f"{path} was not as expected after {PATIENCE_S:.0f} s, but {seen}") from None


def swap_result(direction: str, swap: dict[str, Any]) -> dict[str, Any]:
    """One swap of the demo's result, in the words of the supervision view."""
    legs = []
    for leg in (swap["initiator"], swap["participant"]):
        lock = leg["lock"] if leg is not None else None
        if lock is None:
            continue
        settled = lock["settled"]
        legs.append(
            {
                "chain": lock["terms"]["chain"],
                "lock_tx": lock["locked"]["tx_hash"],
                "settle_tx": None if settled is None else settled["tx_hash"],
                "status": lock["status"],
            }
        )
    statuses = {leg["status"] for leg in legs}
    outcome = statuses.pop() if len(statuses) == 1 else swap["status"]
    return {"id": swap["id"], "direction": direction, "outcome": outcome, "legs": legs}
