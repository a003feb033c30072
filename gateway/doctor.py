"""`causeway doctor`: what a relayer's configuration promises, held against this machine and against the real chains.

Each finding is green, yellow (works, and could be better or will not last) or red (will not work, or may cost money),
and says what to do. Endpoints are asked one by one, so that one that lies or is slow is found by name. Nothing is sent
and nothing is signed; the database is opened to read.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from adapters.evm.rpc_signer import RpcSigner
from adapters.evm.web3signer import Web3Signer
from adapters.registry import ConnectedChain, connect
from core.model.errors import CausewayError, RejectedError, RetryableError
from core.model.identifiers import parse_asset
from core.model.ports import ChainAccess, Signer
from core.model.types import AccountId, AssetId, BaseUnits, ChainId, chain_of
from core.proofs.cometbft.clients import HeaderClient
from core.runtime.clock import NS_PER_S, SystemClock
from core.runtime.database import ask, open_database
from core.runtime.database_urls import SqliteAddress, parse_database_url
from gateway import tokens, wiring
from gateway.amounts import readable
from gateway.checks import check_relayer, relayer_keys
from gateway.config import (
    AccountConfig,
    ChainConfig,
    EndpointConfig,
    RelayerConfig,
    TopUpConfig,
    resolve_database,
)
from gateway.config.faults import Faults
from gateway.config.prices import named_price
from htlc import timelocks
from relayer.keys.keystore import Keystore
from relayer.provider.prices import http_session, read_feed
from relayer.provider.pricing import decimal_text
from relayer.transactions.fees import MAX_CEILING, first_bid

ENDPOINT_S: Final = 30.0
"""The time that one endpoint has for all of its answers."""
SLOW_S: Final = 2.0
"""An endpoint whose newest block takes longer than this is slow."""
LOW_DISK_BYTES: Final = 1 << 30
NO_DISK_BYTES: Final = 100 << 20
FEW_EXITS: Final = 20
"""Gas money for fewer claims and refunds than this will not last."""
FEW_OPERATORS: Final = 3
FEW_TRUST: Final = 1 / 4
"""The share of a trusting period that is left if no relayer has brought the light client forward in time."""


class Level(StrEnum):
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `about` names it, `sentence` says what is, `remedy` what to do (empty if green)."""

    level: Level
    about: str
    sentence: str
    remedy: str = ""


def green(about: str, sentence: str) -> Finding:
    return Finding(Level.GREEN, about, sentence)


def yellow(about: str, sentence: str, remedy: str) -> Finding:
    return Finding(Level.YELLOW, about, sentence, remedy)


def red(about: str, sentence: str, remedy: str) -> Finding:
    return Finding(Level.RED, about, sentence, remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of all, green for none."""
    order = list(Level)
    return max((one.level for one in findings), key=order.index, default=Level.GREEN)


async def examine(
    config: RelayerConfig,
    base: Path,
    say: Callable[[str], None] = lambda _: None,
    environment: Mapping[str, str] = os.environ,
) -> list[Finding]:
    """Return all findings, in the order in which an operator would mend them. `say` hears what is looked at next."""
    say("the file, the keys, the database")
    found, keys = _offline(config, base, environment)
    found += await _database(config, base)
    found += await price_findings(config, base)
    for chain in config.chains:
        say(f"{chain.id}: {len(chain.endpoints)} endpoints")
        found += await _chain(chain, config.policy)
    if keys is not None:
        say("accounts")
        found += await _accounts(config, keys)
    return found


# --- without a network -------------------------------------------------------------------------------------------


def _offline(
    config: RelayerConfig, base: Path, environment: Mapping[str, str]
) -> tuple[list[Finding], Keystore | None]:
    found: list[Finding] = []
    faults = Faults()
    keys = relayer_keys(config, base, faults, environment)
    try:
        faults.raise_any("this machine")
        found.append(green("keys", "the keystore opens, and has every key that is named"))
    except RejectedError as error:
        found.append(red("keys", error.message, "mend it, then run this again"))
    try:
        for _ in check_relayer(config):
            pass
        found += _timelocks(config)
    except RejectedError as error:
        found.append(red("configuration", error.message, "mend the file: causeway relayer check shows every fault"))
    return found, keys


def _timelocks(config: RelayerConfig) -> list[Finding]:
    """The inequality behind each pair's timelocks, with its numbers."""
    timing = {chain.id: wiring.chain_timing(chain.timing) for chain in config.chains}
    policy = wiring.relayer_policy(config).swap
    found = []
    for pair in config.pairs:
        give, get = (asset.partition("/")[0] for asset in (pair.give, pair.get))
        first = timelocks.quote_terms(timing[give], timing[get], policy)
        gap = timelocks.gap_terms(timing[give], timing[get], policy)
        text = f"T_B > now + {_sum(first)}; T_A > T_B + {_sum(gap)}"
        found.append(green(f"{pair.give} > {pair.get}", text))
    return found


def _sum(terms: Mapping[str, int]) -> str:
    parts = " + ".join(f"{name} {seconds}" for name, seconds in terms.items() if seconds)
    return f"{sum(terms.values())} s ({parts})"


async def price_findings(config: RelayerConfig, base: Path) -> list[Finding]:
    """Each price that is looked at, as it is there now."""
    clock, found = SystemClock(), list[Finding]()
    async with http_session() as session:
        for feed in wiring.feeds(config.prices, base):
            if feed.fixed is not None:
                continue
            seen = await read_feed(feed, session, clock)
            if isinstance(seen, str):
                found.append(red(f"price {feed.name}", seen, "mend its source: its pairs are not quoted without it"))
                continue
            price, age_s = decimal_text(seen[0]), (clock.now_ns() - seen[1]) // NS_PER_S
            if age_s > feed.bounds.max_age_s:
                text = f"{price}, {age_s} s old; max_age_s is {feed.bounds.max_age_s}"
                found.append(red(f"price {feed.name}", text, "have its source say it more often, or raise max_age_s"))
            else:
                found.append(green(f"price {feed.name}", f"{price}, {max(0, age_s)} s old"))
    return found


async def _database(config: RelayerConfig, base: Path) -> list[Finding]:
    url = resolve_database(config.database, base)
    address = parse_database_url(url)
    found: list[Finding] = []
    if isinstance(address, SqliteAddress):
        if address.path is None:
            return [red("database", "it is in memory: a restart would forget every lock", "name a file")]
        free = shutil.disk_usage(_existing(address.path.parent)).free
        size = f"{free / (1 << 30):.1f} GiB are free at {address.path.parent}"
        if free < NO_DISK_BYTES:
            found.append(red("disk", size, "free some space: a full disk stops the relayer, exits too"))
        elif free < LOW_DISK_BYTES:
            found.append(yellow("disk", size, "free some space, or move the database"))
        else:
            found.append(green("disk", size))
        if not address.path.exists():
            return [*found, green("database", f"{address.path} will be made at the first start")]
    database = open_database(url)
    try:
        async with asyncio.timeout(ENDPOINT_S):
            await database.read(ask)
        found.append(green("database", "it answers"))
    except (CausewayError, TimeoutError) as error:
        what = error.message if isinstance(error, CausewayError) else "it does not answer in time"
        found.append(red("database", what, "start it, or correct `database`"))
    finally:
        await database.close()
    return found


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


# --- chains ------------------------------------------------------------------------------------------------------


async def _chain(chain: ChainConfig, policy: str) -> list[Finding]:
    each = await asyncio.gather(*(_endpoint(chain, endpoint) for endpoint in chain.endpoints))
    found = [one for findings in each for one in findings]
    operators = {endpoint.operator for endpoint in chain.endpoints}
    agree = f"{len(operators) // 2 + 1} of {len(operators)} operators have to say the same"
    if len(operators) >= FEW_OPERATORS or policy == "devnet":
        found.append(green(chain.id, agree))
    elif len(operators) == 1:
        found.append(yellow(chain.id, "one operator's word is believed for all money", "add endpoints of two others"))
    else:
        found.append(yellow(chain.id, f"{agree}: one that is down stops locks", "add an endpoint of a third operator"))
    return found


async def _endpoint(chain: ChainConfig, endpoint: EndpointConfig) -> list[Finding]:
    """All that one endpoint shows by itself."""
    about = f"{chain.id} at {_origin(endpoint.url)}"
    spec = wiring.chain_spec(msgspec.structs.replace(chain, endpoints=(endpoint,)))
    try:
        async with asyncio.timeout(ENDPOINT_S):
            connected = await connect(spec)
            try:
                return [*_reported(about, connected), *await _heads(about, chain, connected.access)]
            finally:
                await connected.close()
    except RetryableError as error:
        return [red(about, error.message, "start it, or replace it: the others have to agree without it meanwhile")]
    except CausewayError as error:
        return [red(about, error.message, "correct the configuration, or name another endpoint")]
    except TimeoutError:
        return [red(about, f"it has not answered everything within {ENDPOINT_S:.0f} s", "replace it")]


def _origin(url: str) -> str:
    """Without path and query, in which providers put their keys."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def _reported(about: str, connected: ConnectedChain) -> list[Finding]:
    found = []
    for report in connected.reports:
        if report.facts:
            found.append(green(about, "; ".join(report.facts)))
        found += [red(about, sentence, "replace it, or change its settings") for sentence in report.faults]
        found += [yellow(about, sentence, "see docs/operating/ethereum-endpoints.md") for sentence in report.warnings]
    return found


async def _heads(about: str, chain: ChainConfig, access: ChainAccess) -> list[Finding]:
    began = time.monotonic()
    view = await access.heads.head()
    took_s, now_s = time.monotonic() - began, time.time()
    behind_s = now_s - view.head.time.seconds
    unfinal_s = view.head.time.seconds - view.finalized.time.seconds
    timing, found = chain.timing, list[Finding]()
    if took_s > SLOW_S:
        found.append(yellow(about, f"its newest block took {took_s:.1f} s", "replace it: late heads are late exits"))
    if -behind_s > timing.lead_s:
        text = f"its newest block is {-behind_s:.0f} s ahead of this machine's clock; timing.lead_s is {timing.lead_s}"
        found.append(red(about, text, "set this machine's clock by NTP; if it is right, raise lead_s"))
    elif behind_s > timing.lag_s + timing.inclusion_s:
        text = f"its newest block is {behind_s:.0f} s old"
        found.append(red(about, text, "the chain stands still, the node is behind, or this machine's clock is wrong"))
    if unfinal_s > timing.finality_s:
        text = f"blocks are final after {unfinal_s:.0f} s now; timing.finality_s is {timing.finality_s}"
        found.append(red(about, text, "wait until finality goes on, or raise finality_s: timelocks rest on it"))
    if not found:
        text = f"block {view.head.height:,} is {max(0, behind_s):.0f} s old, final after {unfinal_s:.0f} s"
        found.append(green(about, f"{text}; answered in {took_s * 1000:.0f} ms"))
    return found


# --- accounts ----------------------------------------------------------------------------------------------------


async def _accounts(config: RelayerConfig, keys: Keystore) -> list[Finding]:
    found: list[Finding] = []
    for chain in config.chains:
        ours = [one for one in config.accounts if one.chain == chain.id and _is_there(one, keys)]
        former = [one for one in config.retiring if one.chain == chain.id and _is_there(one, keys)]
        if ours:
            found += await _in_time(chain.id, _account(config, chain, ours[0], former, keys))
    return found


def _is_there(account: AccountConfig, keys: Keystore) -> bool:
    return account.signer is not None or account.key in keys.names()


async def _in_time(about: str, work: Awaitable[list[Finding]]) -> list[Finding]:
    try:
        async with asyncio.timeout(ENDPOINT_S):
            return await work
    except CausewayError as error:
        return [red(about, f"its account cannot be looked at: {error.message}", "mend its endpoints first")]
    except TimeoutError:
        return [red(about, "its account cannot be looked at in time", "mend its endpoints first")]


async def _account(
    config: RelayerConfig, chain: ChainConfig, ours: AccountConfig, former: Sequence[AccountConfig], keys: Keystore
) -> list[Finding]:
    connected = await connect(wiring.chain_spec(chain))
    try:
        access = connected.access
        signer = wiring.account_signer(ours, connected, keys)
        account = signer.account
        held = {asset: await access.state.balance(account, asset) for asset in map(AssetId, access.parameters.assets)}
        found = [
            *await _remote(signer),
            *await _gas(access, account, held),
            *_inventory(config, access, account, held),
        ]
        for one in former:
            found += await _former(access, wiring.account_signer(one, connected, keys))
        for top_up in config.treasury.top_up:
            if chain_of(parse_asset(top_up.asset)) == access.chain and top_up.key in keys.names():
                found += await _funder(access, connected.signer(keys.key(top_up.key).expose()), top_up)
        now_s = SystemClock().now()
        return [
            *found,
            *await _tokens(config, connected, account),
            *await client_findings(connected.header_client, access.chain, now_s),
        ]
    finally:
        await connected.close()


async def _former(access: ChainAccess, signer: Signer) -> list[Finding]:
    """Look at an account that retires: it needs gas as long as swaps that it began are open."""
    assets = access.parameters.assets
    held = [readable(one, await access.state.balance(signer.account, asset), 6) for asset, one in assets.items()]
    retires = green(signer.account, f"retires; it holds {', '.join(held)}")
    return [*await _remote(signer), retires]


async def _funder(access: ChainAccess, signer: Signer, top_up: TopUpConfig) -> list[Finding]:
    """Look at an account that pays for gas."""
    asset = parse_asset(top_up.asset)
    held = await access.state.balance(signer.account, asset)
    text = f"pays for gas; it holds {readable(access.parameters.assets[asset], held, 6)}"
    if held < top_up.target:
        return [yellow(signer.account, text, "pay some to it: it cannot fill the account up once")]
    return [green(signer.account, text)]


async def _remote(signer: Signer) -> list[Finding]:
    """Ask a signer on another machine if it has the account's key."""
    if not isinstance(signer, Web3Signer | RpcSigner):
        return []
    try:
        await signer.check_key()
    except RetryableError as error:
        return [red(signer.account, error.message, "nothing is signed without: mend the signer, or its network")]
    return [green(signer.account, "its signer answers, and has its key")]


async def _gas(access: ChainAccess, account: AccountId, held: Mapping[AssetId, BaseUnits]) -> list[Finding]:
    market = await access.transactions.fee_market()
    if market is None:
        return []
    found = []
    for asset, cost in access.transactions.exit_cost(first_bid(market, 0, MAX_CEILING)).items():
        known = access.parameters.assets[asset]
        exits = held[asset] // cost if cost else FEW_EXITS
        text = f"{readable(known, held[asset], 6)}, gas for {exits:,} claims or refunds at today's price"
        if exits < 1:
            found.append(red(account, text, "pay gas money to it: nothing is quoted without"))
        elif exits < FEW_EXITS:
            found.append(yellow(account, text, f"pay gas money to it: {FEW_EXITS} exits last a little"))
        else:
            found.append(green(account, text))
    return found


async def client_findings(client: HeaderClient | None, chain: ChainId, now_s: float) -> list[Finding]:
    """Look at the light client behind a chain's contract of questions, without which no answer is taken."""
    about = f"light client on {chain}"
    if client is None:
        return []
    try:
        newest, period_s = await client.newest(), await client.trusting_period_s()
    except RejectedError as error:
        return [red(about, error.message, "name a CrossChainQuery contract as queries, or leave it out")]
    if newest.frozen:
        return [
            red(about, "it is frozen: two headers contradict each other", "ask the validators; answers need another")
        ]
    left_s = newest.time_ns / NS_PER_S + period_s - now_s
    if left_s <= 0:
        text = f"its trust has ended: header {newest.height} is its newest"
        return [red(about, text, "create another, and a contract of questions over it")]
    text = f"trust ends in {left_s / 3_600:,.1f} hours, unless a header after {newest.height} is proven before"
    if left_s < period_s * FEW_TRUST:
        return [
            yellow(about, text, "a relayer with an account here does that: look at headers_per_day_wei and its gas")
        ]
    return [green(about, text)]


async def _tokens(config: RelayerConfig, connected: ConnectedChain, account: AccountId) -> list[Finding]:
    found = []
    for one in await tokens.register(config, connected, account):
        if one.refused is not None:
            found.append(red(one.asset, one.refused, "leave it out of the pairs, or allow it in [[tokens]]"))
        elif one.traits:
            found.append(yellow(one.asset, f"it is {tokens.words(one.traits)}, which you allow", "watch its issuer"))
        else:
            found.append(green(one.asset, "its code shows no pause, list, fee, rebase or upgrade that we know"))
    return found


def _inventory(
    config: RelayerConfig, access: ChainAccess, account: AccountId, held: Mapping[AssetId, BaseUnits]
) -> list[Finding]:
    found = []
    for asset in dict.fromkeys(AssetId(pair.get) for pair in config.pairs):
        if asset not in held:
            continue
        known = access.parameters.assets[asset]
        least = min(_least(pair.rate, pair.min_give) for pair in config.pairs if pair.get == asset)
        if held[asset] < max(1, least):
            text = f"{readable(known, held[asset])}, less than the smallest swap pays out"
            found.append(yellow(account, text, "pay inventory to it: these pairs cannot be served"))
        else:
            found.append(green(account, f"{readable(known, held[asset])} to pay out"))
    return found


def _least(rate: str, amount: int) -> int:
    """Return what a pair pays out for `amount`; 0 if that depends on a price."""
    if named_price(rate) is not None:
        return 0
    numerator, _, denominator = rate.partition("/")
    return amount * int(numerator) // int(denominator)
