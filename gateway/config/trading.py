"""A relayer's offers and limits: canonical, or refused with its place."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from core.model.errors import RejectedError
from core.model.identifiers import parse_asset, parse_chain
from core.model.types import MAX_BASE_UNITS, BaseUnits, Seconds, chain_of
from core.runtime.web.cors import Cors
from gateway.config.accounts import check_retiring, signing_account
from gateway.config.chains import CONSORTIUM, EVM, NATIVE_REFERENCE, check_amount, check_http_url, refuse_twins
from gateway.config.faults import Faults, choices, shown
from gateway.config.model import (
    AttestConfig,
    ChainConfig,
    LimitConfig,
    OpeningConfig,
    PairConfig,
    RelayerConfig,
    ReserveConfig,
    SwapConfig,
    WatchtowerConfig,
)
from gateway.config.prices import check_fee, check_prices, check_rate
from gateway.config.swap_page import canonical_swap_page
from gateway.config.tokens import canonical_tokens
from gateway.config.treasury import canonical_treasury
from htlc.timelocks import DEVNET_POLICY, PRODUCTION_POLICY
from relayer.notices.addresses import Reach, parse_network
from relayer.notices.webhooks import MAX_TARGETS
from relayer.policy import MAX_OPEN_SWAPS, MAX_QUOTE_LIFETIME_S, OpeningPolicy, WatchPolicy
from relayer.provider.screening import MAX_LISTS

POLICIES: Final = {"production": PRODUCTION_POLICY, "devnet": DEVNET_POLICY}
LOCAL_CHAINS: Final = ("eip155:31337", "eip155:1337")
"""Chain ids of development nodes (anvil, hardhat, ganache, geth --dev). `devnet` is for these, and for ledgers."""
MAX_RATE_CHARS: Final = 160
MAX_EVERY_BLOCKS: Final = 1_000_000
MAX_WAIT_S: Final = 24 * 3600
"""Nobody's place is kept for longer without a lock."""
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RATE: Final = re.compile(r"([1-9][0-9]*)/([1-9][0-9]*)")


def canonical_relayer(config: RelayerConfig, faults: Faults) -> RelayerConfig:
    """The settings of trading, in canonical spelling. `config.chains` is canonical already."""
    chains = {chain.id: chain for chain in config.chains}
    assets = [asset for chain in config.chains for asset in chain.assets]
    check_policy(config, faults)
    _check_quotes(config, faults)
    with faults.at("cors_origins"):
        Cors(config.cors_origins)
    pairs = tuple(_pair(pair, f"pairs[{number}]", assets, faults) for number, pair in enumerate(config.pairs))
    refuse_twins((f"{one.give}>{one.get}" for one in pairs), lambda number: f"pairs[{number}]", "pair", faults)
    _check_round_trips(pairs, faults)
    check_prices(config.prices, pairs, faults)
    tokens = canonical_tokens(config.tokens, {asset for pair in pairs for asset in (pair.give, pair.get)}, faults)
    paid_out = {pair.get for pair in pairs}
    limits = tuple(
        _limit(one, f"limits[{number}]", assets, paid_out, faults) for number, one in enumerate(config.limits)
    )
    _check_reachable(pairs, limits, faults)
    refuse_twins((one.asset for one in limits), lambda number: f"limits[{number}].asset", "asset", faults)
    reserves = tuple(
        _reserve(one, f"gas_per_exit[{number}]", assets, faults) for number, one in enumerate(config.gas_per_exit)
    )
    refuse_twins((one.asset for one in reserves), lambda number: f"gas_per_exit[{number}].asset", "asset", faults)
    accounts, retiring = (
        tuple(
            signing_account(
                msgspec.structs.replace(one, chain=known_chain(one.chain, chains, f"{place}[{number}].chain", faults)),
                f"{place}[{number}]",
                config.chains,
                faults,
            )
            for number, one in enumerate(given)
        )
        for place, given in (("accounts", config.accounts), ("retiring", config.retiring))
    )
    check_retiring(retiring, accounts, faults)
    refuse_twins((one.chain for one in accounts), lambda number: f"accounts[{number}].chain", "account's chain", faults)
    _check_accounts(pairs, {one.chain for one in accounts}, chains, faults)
    if config.report is not None:
        check_http_url(config.report.url, "report.url", faults)
        check_variable(config.report.key_env, "report.key_env", faults)
        if config.report.key_env == config.passphrase_env:
            faults.add(
                "report.key_env",
                "names the variable of passphrase_env, whose value would be sent to the regulator: name another",
            )
    _check_webhooks(config, faults)
    check_variable(config.passphrase_env, "passphrase_env", faults)
    _check_at_most(config.opening, "opening", {"max_per_caller": MAX_OPEN_SWAPS, "hold_s": MAX_WAIT_S}, faults)
    with faults.at("opening"):
        opening_policy(config.opening)
    watchtower = _watchtower(config.watchtower, assets, faults)
    treasury = canonical_treasury(config.treasury, chains, assets, (*accounts, *retiring), faults)
    attest = None if config.attest is None else _attest(config.attest, chains, faults)
    page = None if config.swap_page is None else canonical_swap_page(config.swap_page, chains, faults)
    if len(config.screening.lists) > MAX_LISTS:
        faults.add("screening.lists", f"has {len(config.screening.lists)} entries, at most {MAX_LISTS} are possible")
    refuse_twins(config.screening.lists, lambda number: f"screening.lists[{number}]", "list", faults)
    return msgspec.structs.replace(
        config,
        pairs=pairs,
        tokens=tokens,
        limits=limits,
        gas_per_exit=reserves,
        accounts=accounts,
        retiring=retiring,
        watchtower=watchtower,
        treasury=treasury,
        attest=attest,
        swap_page=page,
    )


def check_policy(config: RelayerConfig | SwapConfig, faults: Faults) -> None:
    """The policy's name, and that it is for these chains."""
    if config.policy not in POLICIES:
        faults.add("policy", f"{shown(config.policy)} is not a policy: {choices(config.policy, POLICIES)}")
    for number, chain in enumerate(config.chains):
        if config.policy == "devnet" and chain.kind == EVM and chain.id not in LOCAL_CHAINS:
            faults.add(
                "policy",
                f"devnet leaves seconds for outages, and {chain.id} (chains[{number}]) is not a chain of this machine "
                f"({', '.join(LOCAL_CHAINS)}): write production",
            )


def _check_quotes(config: RelayerConfig, faults: Faults) -> None:
    if not 0 < config.quote_ttl_s <= MAX_QUOTE_LIFETIME_S:
        faults.add(
            "quote_ttl_s", f"{config.quote_ttl_s} is not a number of seconds from 1 to {MAX_QUOTE_LIFETIME_S}: "
            "whoever holds a quote may take its price until then"
        )  # fmt: skip
    if not 0 < config.max_open_swaps <= MAX_OPEN_SWAPS:
        faults.add("max_open_swaps", f"{config.max_open_swaps} is not a number from 1 to {MAX_OPEN_SWAPS}")


def known_chain(text: str, chains: Collection[str], place: str, faults: Faults) -> str:
    """`text` in its canonical spelling, with a fault if no chain of the configuration is called so."""
    with faults.at(place):
        chain = parse_chain(text)
        if chain not in chains:
            raise RejectedError(f"{chain} is not a configured chain: {choices(chain, chains)}")
        return chain
    return text


def _known_asset(text: str, assets: Collection[str], place: str, faults: Faults) -> str:
    try:
        asset = parse_asset(text)
    except RejectedError as error:
        faults.add(place, f"{error.message}; {choices(text, assets)}")
        return text
    if asset not in assets:
        faults.add(place, f"{asset} is not among the assets of a configured chain: {choices(asset, assets)}")
    return asset


def _pair(pair: PairConfig, place: str, assets: Collection[str], faults: Faults) -> PairConfig:
    give = _known_asset(pair.give, assets, f"{place}.give", faults)
    get = _known_asset(pair.get, assets, f"{place}.get", faults)
    if "/" in give and give.partition("/")[0] == get.partition("/")[0]:
        faults.add(place, f"both assets are on {give.partition('/')[0]}: a swap has its legs on two chains")
    amounts = [check_amount(getattr(pair, name), f"{place}.{name}", faults) for name in ("min_give", "max_give")]
    if all(amounts) and pair.min_give > pair.max_give:
        faults.add(place, f"the minimum is above the maximum: min_give = {pair.min_give}, max_give = {pair.max_give}")
    rate = _RATE.fullmatch(pair.rate) if len(pair.rate) <= MAX_RATE_CHARS else None
    if rate is None:
        check_fee(pair, place, None, faults)
        with faults.at(f"{place}.rate"):
            check_rate(pair.rate)
    elif all(amounts):
        numerator, denominator = int(rate[1]), int(rate[2])
        if pair.max_give * numerator // denominator > MAX_BASE_UNITS:
            faults.add(f"{place}.max_give", f"at rate = {pair.rate} it is more than a chain can count: write less")
        check_fee(pair, place, pair.min_give * numerator // denominator, faults)
        if pair.min_give * numerator // denominator == 0:
            faults.add(f"{place}.min_give", f"at rate = {pair.rate} it gives nothing: write more, or correct the rate")
    return msgspec.structs.replace(pair, give=give, get=get)


def _check_round_trips(pairs: tuple[PairConfig, ...], faults: Faults) -> None:
    """Whoever swaps there and back must not come home with more."""
    rates = {(pair.give, pair.get): (number, _RATE.fullmatch(pair.rate)) for number, pair in enumerate(pairs)}
    for (give, get), (number, rate) in rates.items():
        back_number, back = rates.get((get, give), (0, None))
        if rate is None or back is None or number > back_number:
            continue
        if int(rate[1]) * int(back[1]) > int(rate[2]) * int(back[2]):
            faults.add(
                f"pairs[{back_number}].rate",
                f"{back[0]} and pairs[{number}].rate = {rate[0]} contradict each other: "
                "who swaps there and back gains, at your cost",
            )


def _check_reachable(pairs: tuple[PairConfig, ...], limits: tuple[LimitConfig, ...], faults: Faults) -> None:
    """A pair whose smallest swap is above a limit would be offered and never traded."""
    smallest = {limit.asset: min(limit.total, limit.per_counterparty, limit.per_window) for limit in reversed(limits)}
    for number, pair in enumerate(pairs):
        rate = _RATE.fullmatch(pair.rate) if len(pair.rate) <= MAX_RATE_CHARS else None
        bound = smallest.get(pair.get, 0)
        if rate is not None and bound > 0 and pair.min_give * int(rate[1]) // int(rate[2]) > bound:
            faults.add(
                f"pairs[{number}].min_give", f"it pays out more than the limit of {pair.get} ever allows: {bound}"
            )


def _limit(
    limit: LimitConfig, place: str, assets: Collection[str], paid_out: Collection[str], faults: Faults
) -> LimitConfig:
    asset = _known_asset(limit.asset, assets, f"{place}.asset", faults)
    if asset in assets and asset not in paid_out:
        idle = f"no pair pays out {asset} (`get`), so that its limit bounds nothing"
        faults.add(f"{place}.asset", f"{idle}: {choices(asset, paid_out)}")
    good = [
        check_amount(getattr(limit, name), f"{place}.{name}", faults)
        for name in ("total", "per_counterparty", "per_window")
    ]
    for name in ("per_counterparty", "per_window"):
        if all(good) and getattr(limit, name) > limit.total:
            faults.add(
                f"{place}.{name}", f"{getattr(limit, name)} is above total = {limit.total}, so that it bounds nothing"
            )
    return msgspec.structs.replace(limit, asset=asset)


def _reserve(reserve: ReserveConfig, place: str, assets: Collection[str], faults: Faults) -> ReserveConfig:
    asset = _known_asset(reserve.asset, assets, f"{place}.asset", faults)
    if asset in assets and not asset.endswith(f"/{NATIVE_REFERENCE}"):
        faults.add(
            f"{place}.asset", f"gas is not paid in {asset}: name the native coin, such as eip155:1/{NATIVE_REFERENCE}"
        )
    check_amount(reserve.amount, f"{place}.amount", faults)
    return msgspec.structs.replace(reserve, asset=asset)


def _watchtower(config: WatchtowerConfig, assets: Collection[str], faults: Faults) -> WatchtowerConfig:
    at = "watchtower.max_exit_cost"
    costs = tuple(_reserve(one, f"{at}[{n}]", assets, faults) for n, one in enumerate(config.max_exit_cost))
    refuse_twins((one.asset for one in costs), lambda number: f"{at}[{number}].asset", "asset", faults)
    _check_at_most(config, "watchtower", {"max_watches": MAX_OPEN_SWAPS, "unseen_s": MAX_WAIT_S}, faults)
    if not config.enabled and config != WatchtowerConfig():
        faults.add("watchtower", "its members have no effect while it is off: write enabled = true, or leave them out")
    with faults.at("watchtower"):
        watch_policy(msgspec.structs.replace(config, max_exit_cost=()))
    return msgspec.structs.replace(config, max_exit_cost=costs)


def _check_webhooks(config: RelayerConfig, faults: Faults) -> None:
    hooks = config.webhooks
    networks = []
    for number, text in enumerate(hooks.allow):
        with faults.at(f"webhooks.allow[{number}]"):
            networks.append(parse_network(text))
    if hooks.allow and not hooks.openers and not hooks.targets:
        faults.add("webhooks.allow", "has no effect without targets or openers = true: leave it out")
    if len(hooks.targets) > MAX_TARGETS:
        faults.add("webhooks.targets", f"has {len(hooks.targets)} entries, at most {MAX_TARGETS} are possible")
    for number, target in enumerate(hooks.targets):
        at = f"webhooks.targets[{number}]"
        check_variable(target.secret_env, f"{at}.secret_env", faults)
        if target.secret_env == config.passphrase_env:
            faults.add(f"{at}.secret_env", "names the variable of passphrase_env: name another")
        with faults.at(f"{at}.url"):
            Reach(tuple(networks)).check_url(target.url)
    refuse_twins(
        (target.url for target in hooks.targets), lambda number: f"webhooks.targets[{number}].url", "webhook", faults
    )


def _check_at_most(config: Any, place: str, most: Mapping[str, int], faults: Faults) -> None:
    for name, bound in most.items():
        if getattr(config, name) > bound:
            faults.add(f"{place}.{name}", f"{getattr(config, name)} is above {bound}: write less")


def opening_policy(config: OpeningConfig) -> OpeningPolicy:
    """Raise `RejectedError` for numbers that allow nothing."""
    return OpeningPolicy(
        hold_s=Seconds(config.hold_s),
        max_per_account=config.max_per_account,
        max_per_caller=config.max_per_caller,
        account_share_percent=config.account_share_percent,
        caller_share_percent=config.caller_share_percent,
        early_refunds=config.early_refunds,
        max_lapses=config.max_lapses,
        lapse_s=Seconds(config.lapse_s),
    )


def watch_policy(config: WatchtowerConfig) -> WatchPolicy:
    """Raise `RejectedError` for numbers that allow nothing."""
    return WatchPolicy(
        enabled=config.enabled,
        max_watches=config.max_watches,
        max_per_caller=config.max_per_caller,
        unseen_s=Seconds(config.unseen_s),
        max_exit_cost={parse_asset(one.asset): BaseUnits(one.amount) for one in config.max_exit_cost},
    )


def _check_accounts(
    pairs: tuple[PairConfig, ...], accounts: Collection[str], chains: Collection[str], faults: Faults
) -> None:
    needed = dict.fromkeys(
        str(chain_of(parse_asset(asset)))
        for pair in pairs
        for asset in (pair.give, pair.get)
        if asset.partition("/")[0] in chains
    )
    for chain in needed:
        if chain not in accounts:
            faults.add("accounts", f"there is no account on {chain}, which a pair needs: add [[accounts]]")


def check_variable(name: str, place: str, faults: Faults) -> None:
    """The name of an environment variable."""
    if _VARIABLE.fullmatch(name) is None:
        faults.add(place, f"{shown(name)} is not the name of an environment variable, such as CAUSEWAY_PASSPHRASE")


def _attest(attest: AttestConfig, chains: dict[str, ChainConfig], faults: Faults) -> AttestConfig:
    foreign = known_chain(attest.foreign, chains, "attest.foreign", faults)
    home = known_chain(attest.home, chains, "attest.home", faults)
    if home in chains and chains[home].kind == EVM:
        faults.add("attest.home", f"{home} keeps no attestations: name a consortium chain")
    if foreign in chains and chains[foreign].kind == CONSORTIUM:
        faults.add("attest.foreign", f"{foreign} proves itself: name the chain whose headers are to be attested")
    if not attest.keys:
        faults.add("attest.keys", 'is empty: name the keys of the keystore that vote, such as ["operator"]')
    refuse_twins(attest.keys, lambda number: f"attest.keys[{number}]", "key", faults)
    if not 0 < attest.every_blocks <= MAX_EVERY_BLOCKS:
        faults.add("attest.every_blocks", f"{attest.every_blocks} is not a number from 1 to {MAX_EVERY_BLOCKS}")
    return msgspec.structs.replace(attest, foreign=foreign, home=home)
