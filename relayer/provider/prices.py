"""Prices of files and HTTP addresses that are looked at again and again, and the pairs that are offered at them.

    look ──> relayer.provider.pricing.took_in ──> relayer_prices ──> usable ──> the pair's rate in a quote

What was accepted last is a row of the database: a restart forgets no bound, several processes share one view, and
`causeway relayer prices` shows and confirms it without asking any of them.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from sqlalchemy.engine import Connection

from core.model.errors import FatalError, NotFoundError, RejectedError, RetryableError
from core.model.ports import ChainParameters
from core.model.types import AssetId, BaseUnits, ChainId, chain_of
from core.runtime.clock import NS_PER_S, Clock
from core.runtime.database import Database
from core.runtime.files import read_dated
from core.runtime.logging import get_logger
from core.runtime.signals import Signal
from relayer.metrics import RelayerMetrics
from relayer.provider import price_rows, pricing
from relayer.provider.pricing import Offer, PriceBounds, PriceState
from relayer.provider.quoting import Pair, Rate

MAX_DOCUMENT_BYTES: Final = 64 * 1024
LOOK_TIMEOUT_S: Final = 10.0
MAX_FEEDS: Final = 64
MAX_ERROR_CHARS: Final = 300
MS_PER_S: Final = 1_000
YEAR_5000_S: Final = 95_617_584_000
"""A time in Unix seconds lies before it, one in milliseconds behind."""

log = get_logger("relayer.provider.prices")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A price's name, where it is read, how often, and its bounds. One of `fixed`, `file` and `url`.

    `path` leads to the price in a JSON document, and `time_path` to its own time, in Unix seconds or milliseconds;
    without `path` the document is the number itself. Without `time_path` a file's price is as old as the file, and an
    address's as old as its answer.
    """

    name: str
    bounds: PriceBounds
    every_s: float
    fixed: Fraction | None = None
    file: Path | None = None
    url: str | None = field(default=None, repr=False)
    path: tuple[str | int, ...] | None = None
    time_path: tuple[str | int, ...] | None = None


OpenSession = Callable[[], AbstractAsyncContextManager[Any]]


def http_session() -> aiohttp.ClientSession:
    """A session that keeps nothing: no cookies, and documents as they come, not unpacked."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(LOOK_TIMEOUT_S),
        headers={"Accept-Encoding": "identity", "Accept": "application/json, text/plain"},
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    )


class PriceBoard:
    """The pairs that are traded now, and their rates.

    `run` looks at the feeds for ever; `pairs` and `priced` answer at once.
    """

    def __init__(
        self,
        database: Database,
        chains: Mapping[ChainId, ChainParameters],
        pairs: Sequence[Pair],
        offers: Sequence[Offer],
        feeds: Sequence[Feed],
        clock: Clock,
        metrics: RelayerMetrics,
        open_session: OpenSession = http_session,
    ) -> None:
        self._database = database
        self._chains = chains
        self._clock = clock
        self._metrics = metrics
        self._open_session = open_session
        self._states: dict[str, PriceState] = {}
        self._changed = Signal()
        self.looked = Signal()
        """Counts the looks at any feed."""
        self.replace(pairs, offers, feeds)

    def replace(self, pairs: Sequence[Pair], offers: Sequence[Offer], feeds: Sequence[Feed]) -> None:
        """Trade these from now on. Raise `RejectedError`, and go on as before, if an offer names no feed."""
        named = {feed.name: feed for feed in feeds}
        if len(named) != len(feeds) or len(feeds) > MAX_FEEDS:
            raise RejectedError(f"prices have names of their own, and there are at most {MAX_FEEDS}")
        for offer in offers:
            if isinstance(offer.source, str) and offer.source not in named:
                raise RejectedError(f"the pair {offer.id} names the price {offer.source}, which is not configured")
        fixed = {(pair.initiator_asset, pair.participant_asset): pair for pair in pairs}
        self._fixed: dict[tuple[AssetId, AssetId], Pair] = fixed
        self._offers = {(offer.initiator_asset, offer.participant_asset): offer for offer in offers}
        self._feeds = named
        self._changed.notify()

    @property
    def assets(self) -> set[AssetId]:
        """All assets that are traded, at whatever price."""
        return {asset for both in (*self._fixed, *self._offers) for asset in both}

    def pairs(self) -> Sequence[Pair]:
        """Every pair that can be quoted now, at its rate without the premium, which depends on the timelocks."""
        found = list(self._fixed.values())
        for offer in self._offers.values():
            with suppress(RetryableError, RejectedError):
                found.append(self._at(offer, 0))
        return tuple(found)

    def directions(self) -> Sequence[tuple[AssetId, AssetId]]:
        """The assets of every configured pair, of those that cannot be quoted now, too."""
        return (*self._fixed, *self._offers)

    def priced(self, initiator_asset: AssetId, participant_asset: AssetId, lock_s: int) -> Pair:
        """Return the pair as it is quoted when the participant's timelock lies `lock_s` ahead.

        Raise `NotFoundError` for one that is not traded, `RetryableError` while it has no price.
        """
        key = initiator_asset, participant_asset
        if (pair := self._fixed.get(key)) is not None:
            return pair
        if (offer := self._offers.get(key)) is None:
            raise NotFoundError(f"no such pair: {initiator_asset} for {participant_asset}")
        return self._at(offer, lock_s)

    def _at(self, offer: Offer, lock_s: int) -> Pair:
        if isinstance(offer.source, Rate):
            value = Fraction(offer.source.numerator, offer.source.denominator)
        else:
            feed = self._feeds[offer.source]
            state = self._states.get(feed.name, PriceState())
            price = feed.fixed or pricing.usable(feed.name, state, feed.bounds, self._clock.now_ns())
            value = pricing.base_rate(offer, price, self._decimals(offer))
        return offer.at(pricing.offered(offer, value, lock_s))

    def _decimals(self, offer: Offer) -> tuple[int, int]:
        found = []
        for asset in (offer.initiator_asset, offer.participant_asset):
            known = self._chains[chain_of(asset)].assets.get(asset)
            if known is None:
                raise RetryableError(f"the decimals of {asset} are not known: its chain does not show it")
            found.append(known.decimals)
        return found[0], found[1]

    # --- looking ---

    async def run(self) -> None:
        """Look at every feed at its own pace, for ever. What one of them meets is its own business."""
        while True:
            seen = self._changed.count
            async with self._open_session() as session:
                looks = [
                    asyncio.create_task(self._keep(feed, session))
                    for feed in self._feeds.values()
                    if feed.fixed is None
                ]
                changed = asyncio.create_task(self._changed.wait_beyond(seen))
                try:
                    done, _ = await asyncio.wait([changed, *looks], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in (changed, *looks):
                        task.cancel()
                    await asyncio.gather(changed, *looks, return_exceptions=True)
                for task in done - {changed}:
                    task.result()

    async def _keep(self, feed: Feed, session: Any) -> None:
        while True:
            try:
                await self.look(feed, session)
            except RetryableError as error:
                log.warning("the database does not answer", price=feed.name, reason=error.message)
            await self._clock.sleep(feed.every_s)

    async def look(self, feed: Feed, session: Any) -> None:
        """Look at one feed once and store what was found. Raise what the database raises."""
        found = await read_feed(feed, session, self._clock)
        before = self._states.get(feed.name)
        now_ns = self._clock.now_ns()
        state = await self._database.write(partial(_store, feed=feed, found=found, now_ns=now_ns))
        self._states[feed.name] = state
        self._tell(feed, before or PriceState(), state, now_ns)
        self.looked.notify()

    def _tell(self, feed: Feed, before: PriceState, state: PriceState, now_ns: int) -> None:
        """Say once what changed, and show in a gauge if pairs can be quoted at the price."""
        try:
            pricing.usable(feed.name, state, feed.bounds, now_ns)
        except RetryableError as error:
            self._metrics.price_usable.labels(feed.name).set(0)
            if before.held is None and state.held is not None:
                log.warning("a price has jumped: its pairs are paused", price=feed.name, reason=error.message)
        else:
            self._metrics.price_usable.labels(feed.name).set(1)
            if before.held is not None:
                log.info("a price is followed again", price=feed.name)
        if state.error is not None and before.error is None:
            log.warning("a price cannot be read", price=feed.name, reason=state.error)


async def read_feed(feed: Feed, session: Any, clock: Clock) -> tuple[Fraction, int] | str:
    """Return the price, and the time that it is of in nanoseconds; or a sentence about why there is none."""
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            if feed.file is not None:
                raw, at_ns = await asyncio.to_thread(read_dated, feed.file, MAX_DOCUMENT_BYTES, "the file")
            else:
                raw, at_ns = await fetch(session, feed.url or ""), clock.now_ns()
        return parse_document(feed, raw, at_ns)
    except FatalError:
        raise
    except (RetryableError, RejectedError) as error:
        return error.message[:MAX_ERROR_CHARS]
    except TimeoutError:
        return f"no answer within {LOOK_TIMEOUT_S:.0f} s"
    except Exception as error:  # whatever a document or a library has in store, it is this feed's alone
        return f"cannot be read: {type(error).__name__}"


def parse_document(feed: Feed, raw: bytes, at_ns: int) -> tuple[Fraction, int]:
    """Return the price in a document, and its time: its own if the feed has a `time_path`, else `at_ns`.

    Raise `RejectedError` for anything that is not such a document.
    """
    try:
        text = raw.decode()
        document = text.strip() if feed.path is None else json.loads(text, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise RejectedError("the document is not JSON in UTF-8") from None
    price = pricing.parse_decimal(pricing.text_at(document, feed.path or ()))
    if feed.time_path is None:
        return price, at_ns
    time_s = pricing.parse_decimal(pricing.text_at(document, feed.time_path))
    if time_s >= YEAR_5000_S:
        time_s /= MS_PER_S
    if time_s >= YEAR_5000_S:
        raise RejectedError("the price's time is neither Unix seconds nor milliseconds")
    return price, int(time_s * NS_PER_S)


async def fetch(session: Any, url: str) -> bytes:
    """Return the body of an answer 200, at most `MAX_DOCUMENT_BYTES`. Redirects are not followed.

    Raise `RetryableError` without naming more of the address than its host: its path may hold a key.
    """
    host = urlsplit(url).hostname
    try:
        async with session.get(url, allow_redirects=False) as response:
            if response.status != 200:
                raise RetryableError(f"{host} answers with status {response.status}; redirects are not followed")
            raw = b""
            async for part in response.content.iter_chunked(MAX_DOCUMENT_BYTES):
                raw += part
                if len(raw) > MAX_DOCUMENT_BYTES:
                    raise RetryableError(f"{host} answers with more than {MAX_DOCUMENT_BYTES} bytes")
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise RetryableError(f"{host} does not answer: {type(error).__name__}") from None
    return raw


def _store(connection: Connection, feed: Feed, found: tuple[Fraction, int] | str, now_ns: int) -> PriceState:
    """Let the state take in what a look found, a price or the reason why there is none."""
    state = price_rows.load(connection, feed.name)
    try:
        if isinstance(found, str):
            raise RejectedError(found)
        after = pricing.took_in(state, *found, now_ns, feed.bounds)
    except RejectedError as error:
        after = replace(state, error=error.message[:MAX_ERROR_CHARS])
    if after != state:
        price_rows.store(connection, feed.name, after)
    return after


def largest_payout(pairs: Iterable[Pair]) -> dict[AssetId, BaseUnits]:
    """Return the most that one lock of ours may take of each asset that these pairs pay out."""
    found: dict[AssetId, BaseUnits] = {}
    for pair in pairs:
        most = max(1, pair.maximum * pair.rate.numerator // pair.rate.denominator)
        found[pair.participant_asset] = BaseUnits(max(most, found.get(pair.participant_asset, 0)))
    return found
