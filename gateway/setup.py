"""`causeway relayer init`: from endpoints, a contract and offers in people's words to a configuration that checks.

What can be read is read: chain ids, first blocks, tokens' symbols and decimals come from the endpoints, which have to
agree; timing comes from `gateway.config.known_chains`. Nothing is written before all of it fits together.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from adapters.evm.names import account, hex_address, native_asset, parse_address, token_asset
from adapters.evm.probe import identity
from adapters.evm.rpc import RpcClient, quantity
from core.model.consortium import caip_asset
from core.model.errors import CausewayError, ConflictError, RejectedError
from core.model.identifiers import parse_chain
from core.model.types import Asset, AssetId, BaseUnits, ChainId, chain_of
from core.runtime.files import locked, replace_file
from gateway import wiring
from gateway.amounts import base_units, readable
from gateway.config import (
    AccountConfig,
    ChainConfig,
    EndpointConfig,
    LimitConfig,
    PairConfig,
    RelayerConfig,
    to_toml,
    verified,
)
from gateway.config.known_chains import CONSORTIUM_TIMING, LOCAL_CONSORTIUM_TIMING, KnownChain

CONFIGURATION: Final = "relayer.toml"
KEYSTORE: Final = "keystore.json"
KEYS: Final = ("ethereum", "consortium", "quote")
"""One key per duty; an operator of a validator adds `operator` for attestations."""
DEFAULT_SPREAD: Final = "1"
SMALLEST_PART: Final = 1_000
"""The smallest amount of an offer that names none is this part of the largest."""
LIMIT_TIMES: Final = 4
"""At stake in all: so many of the largest swaps; with one counterparty half of that."""
MAX_OFFER_CHARS: Final = 200
_COMMENTS: Final = {
    "listen =": "The dApp API, /healthz, /readyz and /metrics; a TLS proxy belongs before it.",
    "database =": "postgresql://… for production.",
    "policy =": "Allowances for people and outages that timelocks contain: production, or devnet.",
    "endpoints =": "Endpoints of one operator count once: more than half of the operators must agree.",
    "start =": "Blocks before it are not looked at.",
    "[chains.timing]": "Bounds in seconds; docs/operating/chains.md has their sources. Too low may cost money.",
    "[[pairs]]": "An offer: `rate` base units of `get` per base unit of `give`, the spread taken off.",
    "[[limits]]": "The most of an asset that may be at stake, in base units.",
}
"""Comments, by the start of the first line that they stand before."""
_OFFER: Final = re.compile(
    r"(?P<amount>[0-9.]+)\s+(?P<asset>\S+)\s*=\s*(?P<price>[0-9.]+)\s+(?P<other>\S+?)"
    r"(?:,?\s+from\s+(?P<smallest>[0-9.]+))?,?\s+(?:up\s+)?to\s+(?P<largest>[0-9.]+)"
)


@dataclass(frozen=True, slots=True)
class Offer:
    """`amount asset = price other`, for amounts of `asset` from `smallest` to `largest`, in both directions."""

    amount: str
    asset: str
    price: str
    other: str
    smallest: str | None
    largest: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """An operator's answers. `tokens` are addresses on the EVM chain, `consortium` endpoints of the other chain."""

    name: str
    listen: str
    evm: KnownChain
    rpc: Sequence[str]
    contract: str
    tokens: Sequence[str]
    consortium: Sequence[str]
    offers: Sequence[Offer]
    spread_percent: str = DEFAULT_SPREAD
    database: str = "sqlite:///relayer.sqlite"
    policy: str | None = None


@dataclass(frozen=True, slots=True)
class Drafted:
    """A configuration that checks, with the assets that it names, and its lines for people."""

    config: RelayerConfig
    assets: Mapping[AssetId, Asset]
    notes: Sequence[str] = field(default_factory=tuple)


def parse_offer(text: str) -> Offer:
    """`1 eth = 25000 cnyd, from 0.01 to 5`. Raise `RejectedError` for anything else."""
    found = _OFFER.fullmatch(text.strip()) if len(text) <= MAX_OFFER_CHARS else None
    if found is None:
        raise RejectedError(
            f"{text[:80]!r} is not an offer such as '1 eth = 25000 cnyd, from 0.01 to 5': write an amount and its "
            "price, and between which amounts of the first asset you trade"
        )
    return Offer(**found.groupdict())


async def draft(wanted: Wanted) -> Drafted:
    """Return the configuration.

    Raise `RejectedError` for answers that do not fit each other or their chains, `RetryableError` while an endpoint
    does not answer, `FatalError` for endpoints of other chains and a contract that is not ours.
    """
    evm = await evm_chain(wanted.evm, wanted.rpc, wanted.contract, wanted.tokens)
    assets = await chain_assets(evm)
    symbols = _consortium_symbols(wanted, {asset.symbol.lower() for asset in assets.values()})
    consortium = await consortium_chain(wanted.evm, wanted.consortium, symbols)
    assets |= await chain_assets(consortium)
    pairs, limits = _trading(wanted, assets)
    config = RelayerConfig(
        name=wanted.name,
        listen=wanted.listen,
        database=wanted.database,
        keystore=KEYSTORE,
        passphrase_env="CAUSEWAY_PASSPHRASE",
        policy=wanted.policy or wanted.evm.policy,
        chains=(evm, consortium),
        accounts=(AccountConfig(evm.id, KEYS[0]), AccountConfig(consortium.id, KEYS[1])),
        quote_key=KEYS[2],
        pairs=pairs,
        limits=limits,
    )
    return Drafted(verified(config), assets, _notes(wanted))


def write(directory: Path, drafted: Drafted) -> Path:
    """Write `relayer.toml` with comments, and return its path. Raise `ConflictError` if there is one already."""
    path = directory / CONFIGURATION
    with locked(path, "wait until it has ended"):
        if path.exists():
            raise ConflictError(f"{path} exists already: name another directory, or edit it")
        replace_file(path, commented(drafted).encode(), 0o644)
    return path


def commented(drafted: Drafted) -> str:
    """Return the file's text: each part with the sentence that its reader needs."""
    lines = [
        "# A relayer's configuration. `causeway relayer check` shows what is wrong with it, and every member is",
        "# described in docs/operating/configuration.md. Secrets are not in it: the keystore is encrypted, and its",
        f"# passphrase comes from the environment variable {drafted.config.passphrase_env}.",
        "",
    ]
    return with_comments(lines, to_toml(drafted.config, defaults=False), _COMMENTS)


def with_comments(lines: list[str], toml: str, first: Mapping[str, str]) -> str:
    """Return a file's text: `lines`, then `toml` with each comment of `first` before the first line that begins so."""
    comments = dict(first)
    for line in toml.splitlines():
        start = next((one for one in comments if line.startswith(one)), None)
        if start is not None:
            lines.append(f"# {comments.pop(start)}")
        lines.append(line)
    return "\n".join(lines) + "\n"


# --- chains ------------------------------------------------------------------------------------------------------


async def evm_chain(known: KnownChain, rpc: Sequence[str], contract: str, tokens: Sequence[str]) -> ChainConfig:
    """Return a known chain's configuration, from its newest block on. `contract` and `tokens` are addresses.

    Raise `RejectedError` if the first endpoint is of another chain, `RetryableError` while it does not answer.
    """
    chain = known.chain
    client = RpcClient(rpc[0])
    try:
        found, head = await identity(chain, client), quantity(await client.call("eth_blockNumber"))
    finally:
        await client.close()
    if f"eip155:{found.number}" != chain:
        raise RejectedError(f"{client} is of eip155:{found.number}, and {known.name} is {chain}: correct one of them")
    genesis = found.genesis_hash.hex()
    if known.genesis not in (None, genesis):
        raise RejectedError(f"{client} is not {known.name}: its first block is {genesis}, not {known.genesis}")
    return ChainConfig(
        kind="evm",
        id=chain,
        genesis=genesis,
        endpoints=_endpoints(rpc),
        timing=known.timing,
        assets=(native_asset(chain), *(token_asset(chain, parse_address(one)) for one in tokens)),
        contract=account(chain, parse_address(contract.rpartition(":")[2])),
        start=head,
    )


async def consortium_chain(known: KnownChain, urls: Sequence[str], symbols: Sequence[str]) -> ChainConfig:
    """Return the configuration of the consortium chain next to `known`, from its newest block on.

    Raise `RejectedError` if the first endpoint is not of such a chain or lacks an asset, `RetryableError` while it does
    not answer.
    """
    from adapters.consortium.chain import read_parameters
    from adapters.consortium.rpc import CometRpc

    rpc = CometRpc(urls[0])
    try:
        network, head = _said(await rpc.call("status"), rpc.url)
        chain = parse_chain(f"causeway:{network}")
        parameters = await read_parameters(rpc, chain, symbols)
    finally:
        await rpc.close()
    return ChainConfig(
        kind="consortium",
        id=chain,
        genesis=parameters.genesis_hash.hex(),
        endpoints=_endpoints(urls),
        timing=LOCAL_CONSORTIUM_TIMING if known.policy == "devnet" else CONSORTIUM_TIMING,
        assets=tuple(caip_asset(chain, symbol) for symbol in symbols),
        start=head,
    )


def _said(status: Mapping[str, Any], url: str) -> tuple[str, int]:
    """Return a node's network and newest height. Raise `RejectedError` if it is not a CometBFT node."""
    info, sync = status.get("node_info"), status.get("sync_info")
    network = info.get("network") if isinstance(info, Mapping) else None
    height = sync.get("latest_block_height") if isinstance(sync, Mapping) else None
    if not isinstance(network, str) or not isinstance(height, str) or not height.isdecimal():
        raise RejectedError(f"{url} does not say which chain it is of: name the RPC of a consortium chain's node")
    return network, max(1, int(height))


def _endpoints(urls: Sequence[str]) -> tuple[EndpointConfig, ...]:
    """Hosts are taken for operators: two of one operator are to be given the same name by hand."""
    return tuple(EndpointConfig(url, urlsplit(url).hostname or url) for url in urls)


async def chain_assets(chain: ChainConfig) -> dict[AssetId, Asset]:
    """Return a chain's assets as it describes them. Raise what connecting raises."""
    async with wiring.connected([chain]) as chains:
        [found] = chains.values()
        return dict(found.access.parameters.assets)


def _consortium_symbols(wanted: Wanted, on_evm: Collection[str]) -> list[str]:
    found: dict[str, None] = {}
    for offer in wanted.offers:
        sides = [symbol for symbol in (offer.asset.lower(), offer.other.lower()) if symbol not in on_evm]
        if len(sides) != 1:
            raise RejectedError(
                f"{offer.asset} for {offer.other} is not an offer between the two chains: write one asset of "
                f"{wanted.evm.chain} ({', '.join(sorted(on_evm))}; --token adds others) and one of the consortium chain"
            )
        found[sides[0]] = None
    return list(found)


# --- trading -----------------------------------------------------------------------------------------------------


def _trading(wanted: Wanted, assets: Mapping[AssetId, Asset]) -> tuple[tuple[PairConfig, ...], tuple[LimitConfig, ...]]:
    by_symbol: dict[str, Asset] = {}
    for asset in assets.values():
        if by_symbol.setdefault(asset.symbol.lower(), asset) is not asset:
            raise RejectedError(f"two assets are called {asset.symbol}: write their offers into the file by hand")
    keep = 1 - _percent(wanted.spread_percent)
    pairs: list[PairConfig] = []
    largest: dict[AssetId, int] = {}
    for offer in wanted.offers:
        one, other = (_named(by_symbol, symbol) for symbol in (offer.asset, offer.other))
        price = Fraction(base_units(other, offer.price), base_units(one, offer.amount))
        top = base_units(one, offer.largest)
        bottom = (
            base_units(one, offer.smallest) if offer.smallest is not None else BaseUnits(max(1, top // SMALLEST_PART))
        )
        pairs += [
            _pair(one, other, price * keep, bottom, top),
            _pair(other, one, keep / price, bottom * price, top * price),
        ]
        for asset, amount in ((one, top), (other, int(top * price))):
            largest[asset.id] = max(largest.get(asset.id, 0), amount)
    limits = tuple(
        LimitConfig(name, amount * LIMIT_TIMES, amount * LIMIT_TIMES // 2, amount * LIMIT_TIMES // 2)
        for name, amount in largest.items()
    )
    return tuple(pairs), limits


def _pair(give: Asset, get: Asset, rate: Fraction, smallest: Fraction | int, largest: Fraction | int) -> PairConfig:
    """Raise `RejectedError` for an offer whose smallest amount pays out nothing."""
    least = max(1, -(-smallest.numerator // smallest.denominator))
    if least * rate < 1:
        raise RejectedError(
            f"{readable(give, least)} is worth less than the smallest unit of {get.symbol}: raise 'from'"
        )
    return PairConfig(give.id, get.id, f"{rate.numerator}/{rate.denominator}", least, int(largest))


def _named(by_symbol: Mapping[str, Asset], symbol: str) -> Asset:
    found = by_symbol.get(symbol.lower())
    if found is None:
        raise RejectedError(f"no asset here is called {symbol}: choose from {', '.join(sorted(by_symbol))}")
    return found


def _percent(text: str) -> Fraction:
    try:
        found = Fraction(Decimal(text, Context(prec=30))) / 100
    except (ArithmeticError, ValueError):
        found = Fraction(-1)
    if not 0 <= found < Fraction(1, 2):
        raise RejectedError(f"the spread {text[:40]!r} is not a percentage from 0 up to, and without, 50")
    return found


# --- words -------------------------------------------------------------------------------------------------------


def _notes(wanted: Wanted) -> tuple[str, ...]:
    found = []
    for what, urls in ((wanted.evm.name, wanted.rpc), ("the consortium chain", wanted.consortium)):
        if len(urls) < 3 and wanted.evm.policy != "devnet":
            found.append(f"{what}: {len(urls)} endpoint(s). For real money name three, of different operators")
    return tuple(found)


def asset_names(drafted: Drafted) -> Mapping[ChainId, list[str]]:
    """Return the symbols that each chain's account needs, for the list of what to do next."""
    found: dict[ChainId, list[str]] = {}
    for name, asset in drafted.assets.items():
        found.setdefault(chain_of(name), []).append(asset.symbol)
    return found


def contract_hint(wanted_rpc: Sequence[str], evm: KnownChain) -> str:
    """Return the command that creates the contract."""
    rpc = " ".join(f"--rpc {url}" for url in wanted_rpc)
    return f"causeway contract deploy {rpc} --keystore {KEYSTORE} --key deployer --chain {evm.chain}"


def refuse_bad_address(text: str) -> str:
    """Return an EVM address as it is written in configurations. Raise `RejectedError`."""
    try:
        return hex_address(parse_address(text.rpartition(":")[2]))
    except CausewayError as error:
        raise RejectedError(f"{text[:80]!r} is not the address of a contract, 0x and 40 digits") from error
