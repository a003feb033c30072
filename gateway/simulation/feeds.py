"""A price's address in the network: the price moves, jumps and stands still; some answers are nonsense, or do not come.

`PriceFeed` is a stand-in for an `aiohttp.ClientSession`, and remembers what it published: the verdict asks it.
"""

import json
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import aiohttp

from core.model.types import BaseUnits, Seconds
from gateway.simulation.plan import CHAINS
from gateway.simulation.plan_operators import Pricing
from gateway.simulation.world import COIN, TOKEN, World
from relayer.provider.prices import LOOK_TIMEOUT_S, Feed
from relayer.provider.pricing import Offer, PriceBounds

NAME: Final = "ours"
EVERY_S: Final = 2.0
MAX_AGE_S: Final = 8
MAX_JUMP_BPS: Final = 500
SPREAD_BPS: Final = 20
VALID_S: Final = 6
"""How long a quote at it is taken."""
MOVES_S: Final = 3.0
"""How often it moves."""
STEP_BPS: Final = 40
KNOWN_AFTER: Final = 2
"""Good answers after which a price is taken to be known: the database may have been locked at one of them."""
HIGHEST, LOWEST = Fraction(21, 10), Fraction(19, 10)
NONSENSE: Final = (b"", b"{}", b"[1]", b'{"price": "nan", "time": 1}', b'{"price": -2, "time": 1}', b"\xff" * 9)

FEED: Final = Feed(
    name=NAME,
    bounds=PriceBounds(Seconds(MAX_AGE_S), MAX_JUMP_BPS),
    every_s=EVERY_S,
    url="https://prices.invalid/",
    path=("price",),
    time_path=("time",),
)


def offers() -> list[Offer]:
    """Every pair of a town, at that price and a little less."""
    return [
        Offer(
            initiator_asset=kind[chain],
            participant_asset=kind[other],
            source=NAME,
            minimum=BaseUnits(10),
            maximum=BaseUnits(100_000),
            spread_bps=SPREAD_BPS,
        )
        for chain, other in (CHAINS, CHAINS[::-1])
        for kind in (COIN, TOKEN)
    ]


@dataclass(frozen=True, slots=True)
class Price:
    """A price since `at_s` (Unix seconds). `jumped`: further than a relayer follows."""

    at_s: float
    value: Fraction
    jumped: bool = False


class PriceFeed:
    """The address. `published` has every price that it ever had, the oldest first, and `answered` which one it gave as
    an answer when (Unix seconds)."""

    def __init__(self, world: World, pricing: Pricing) -> None:
        self._clock = world.clock
        self._faults = world.faults
        self._pricing = pricing
        self._source = random.Random(f"prices/{world.plan.seed}")
        self.published = [Price(world.clock.now(), Fraction(2))]
        self.answered: list[tuple[float, Price]] = []

    async def run(self) -> None:
        """Move for ever."""
        plan, fair = self._pricing, Fraction(2)
        while True:
            await self._clock.sleep(MOVES_S)
            now_s = self._clock.monotonic()
            if plan.stall_at_s <= now_s < plan.stall_at_s + plan.stall_for_s:
                self._faults["price-stall"] += 1
                continue
            fair *= 1 + Fraction(self._source.randint(-STEP_BPS, STEP_BPS), 10_000)
            fair = min(max(fair, LOWEST), HIGHEST)
            # Whoever has read no price yet takes the first one for what it is: only then is there a jump.
            known = len(self.answered) >= KNOWN_AFTER
            jumped = known and plan.jump_at_s <= now_s < plan.jump_at_s + plan.jump_for_s
            self._faults["price-jump"] += jumped
            value = fair * plan.jump_percent / 100 if jumped else fair
            # As many places as its document has.
            shown = Fraction(round(value * 10**6), 10**6)
            self.published.append(Price(self._clock.now(), shown, jumped))

    @asynccontextmanager
    async def session(self) -> AsyncIterator["PriceFeed"]:
        """As `relayer.provider.prices.http_session`."""
        yield self

    def get(self, url: str, **_request: Any) -> AbstractAsyncContextManager["_Answer"]:
        """As a session's."""
        return self._answered()

    @asynccontextmanager
    async def _answered(self) -> AsyncIterator["_Answer"]:
        draw = self._source.random()
        if draw < self._pricing.flaky / 3:
            self._faults["price-hangs"] += 1
            await self._clock.sleep(LOOK_TIMEOUT_S + 1)
        elif draw < self._pricing.flaky * 2 / 3:
            self._faults["price-unreachable"] += 1
            raise aiohttp.ServerDisconnectedError
        elif draw < self._pricing.flaky:
            self._faults["price-nonsense"] += 1
            yield _Answer(200, _Content(self._source.choice(NONSENSE)))
            return
        newest = self.published[-1]
        self.answered.append((self._clock.now(), newest))
        document = {"price": f"{float(newest.value):.6f}", "time": f"{newest.at_s:.3f}"}
        yield _Answer(200, _Content(json.dumps(document).encode()))


@dataclass(frozen=True, slots=True)
class _Content:
    raw: bytes

    async def iter_chunked(self, most: int) -> AsyncIterator[bytes]:
        yield self.raw[:most]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content: _Content
