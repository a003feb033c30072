"""Chains of a configuration: every identifier in its canonical spelling, every number within its bounds."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.types import MAX_BASE_UNITS, chain_of
from gateway.config.faults import Faults, choices, shown
from gateway.config.model import ChainConfig, ContractConfig, EndpointConfig, TimingConfig

T = TypeVar("T", bound=str)

EVM: Final = "evm"
CONSORTIUM: Final = "consortium"
NAMESPACES: Final = {EVM: "eip155", CONSORTIUM: "causeway"}
NATIVE_REFERENCE: Final = "slip44:60"
"""The native coin of every EVM chain; see `adapters.evm.names`."""
NOBODY: Final = (f":0x{'0' * 40}", f":{'0' * 40}")
"""The ends of accounts that nothing can be at: on an EVM chain, on a consortium chain."""
MAX_ENDPOINTS: Final = 32
MAX_BEACONS: Final = 8
MAX_TIMING_S: Final = 14 * 24 * 3600
"""As long as the longest timelock (`htlc.timelocks.MAX_PLAN_S`)."""
MAX_CALLS_PER_S: Final = 100_000.0
MAX_HEIGHT: Final = 2**53
MAX_FEE_GWEI: Final = 10**6
MAX_HEADERS_WEI: Final = 10**18
"""One ether: TOML's numbers have 63 bits."""
GENESIS_BYTES: Final = 32
_LOCAL: Final = ("localhost", "127.", "10.", "192.168.", "::1", "host.docker.internal")


def canonical_chains(chains: tuple[ChainConfig, ...], faults: Faults) -> tuple[ChainConfig, ...]:
    """The chains with canonical identifiers. What is wrong goes to `faults` and stays as it was written."""
    if not chains:
        faults.add("chains", "is empty: add [[chains]]")
    made = tuple(_chain(chain, f"chains[{number}]", faults) for number, chain in enumerate(chains))
    refuse_twins((chain.id for chain in made), lambda number: f"chains[{number}].id", "chain", faults)
    return made


def parsed(parse: Callable[[str], T], text: str, place: str, faults: Faults) -> str:
    """`text` in its canonical spelling, or as it is with a fault."""
    with faults.at(place):
        return parse(text)
    return text


def refuse_twins(values: Iterable[str], place: Callable[[int], str], what: str, faults: Faults) -> None:
    seen: dict[str, int] = {}
    for number, value in enumerate(values):
        if value in seen:
            faults.add(place(number), f"the {what} {shown(value)} is named twice: leave one of them out")
        seen.setdefault(value, number)


def check_amount(value: int, place: str, faults: Faults) -> bool:
    """Return true for base units of an asset, 1 or more."""
    if 0 < value <= MAX_BASE_UNITS:
        return True
    number = str(value) if abs(value) <= MAX_BASE_UNITS else "the number"
    faults.add(place, f"{number} is not an amount: write base units, 1 or more and below 2^256")
    return False


def _chain(chain: ChainConfig, place: str, faults: Faults) -> ChainConfig:
    from adapters.registry import installed_factories

    if chain.kind not in (known := installed_factories()):
        faults.add(f"{place}.kind", f"{shown(chain.kind)} is not a kind of chain: {choices(chain.kind, sorted(known))}")
    name = parsed(parse_chain, chain.id, f"{place}.id", faults)
    namespace = NAMESPACES.get(chain.kind)
    if namespace is not None and name.partition(":")[0] != namespace:
        faults.add(f"{place}.id", f"{shown(name)} is not a chain of kind {chain.kind}: write {namespace}:…")
    _check_timing(chain.timing, chain.kind, f"{place}.timing", faults)
    if not 0 <= chain.start <= MAX_HEIGHT:
        faults.add(f"{place}.start", f"{chain.start} is not the height of a block: write 0 or more")
    if chain.max_fee_gwei is not None and not 0 < chain.max_fee_gwei <= MAX_FEE_GWEI:
        faults.add(f"{place}.max_fee_gwei", f"{chain.max_fee_gwei} is not a price of gas: write 1 to {MAX_FEE_GWEI:,}")
    if chain.headers_per_day_wei is not None and not 0 <= chain.headers_per_day_wei <= MAX_HEADERS_WEI:
        amount = f"{chain.headers_per_day_wei} is not an amount of wei: write 0 to {MAX_HEADERS_WEI:,}"
        faults.add(f"{place}.headers_per_day_wei", amount)
    _check_beacons(chain, place, faults)
    if chain.kind == CONSORTIUM:
        _refuse_idle(chain, place, faults)
    return msgspec.structs.replace(
        chain,
        id=name,
        genesis=_genesis(chain.genesis, f"{place}.genesis", faults),
        endpoints=_endpoints(chain.endpoints, f"{place}.endpoints", faults),
        assets=_assets(chain, name, f"{place}.assets", faults),
        contract=_contract(chain, name, f"{place}.contract", faults),
        queries=None if chain.queries is None else _account_on(name, chain.queries, f"{place}.queries", faults),
        contracts=_contracts(chain.contracts, name, f"{place}.contracts", faults),
    )


def _check_beacons(chain: ChainConfig, place: str, faults: Faults) -> None:
    if chain.kind == CONSORTIUM and (chain.beacon_anchor is not None or chain.beacons):
        name = "beacons" if chain.beacon_anchor is None else "beacon_anchor"
        faults.add(f"{place}.{name}", "a consortium chain has no beacon chain: leave it out")
        return
    if chain.beacon_anchor is None and chain.beacons:
        faults.add(f"{place}.beacons", "nothing says from where to follow them: add beacon_anchor")
    if chain.beacon_anchor is not None and not 0 < len(chain.beacons) <= MAX_BEACONS:
        faults.add(f"{place}.beacons", f"{len(chain.beacons)} beacon nodes: write 1 to {MAX_BEACONS}")
    for number, url in enumerate(chain.beacons[:MAX_BEACONS]):
        check_http_url(url, f"{place}.beacons[{number}]", faults)
    refuse_twins((url.rstrip("/") for url in chain.beacons), lambda n: f"{place}.beacons[{n}]", "URL", faults)


def _refuse_idle(chain: ChainConfig, place: str, faults: Faults) -> None:
    """Refuse settings that a consortium chain does not use."""
    if chain.contract is not None:
        faults.add(f"{place}.contract", "a consortium chain's ledger holds locks itself: leave it out")
    if chain.contracts:
        faults.add(f"{place}.contracts", "a consortium chain has no contracts: leave them out")
    if chain.native_transfers:
        faults.add(f"{place}.native_transfers", "a consortium chain shows every transfer as an event: leave it out")
    if chain.queries is not None:
        faults.add(f"{place}.queries", "a consortium chain's ledger keeps questions itself: leave it out")
    if chain.headers_per_day_wei is not None:
        faults.add(f"{place}.headers_per_day_wei", "a consortium chain verifies proofs itself: leave it out")
    if chain.max_fee_gwei is not None:
        faults.add(f"{place}.max_fee_gwei", "a consortium chain takes no fees: leave it out")
    for number, endpoint in enumerate(chain.endpoints):
        if endpoint.ws is not None:
            faults.add(f"{place}.endpoints[{number}].ws", "a consortium chain's node has no second URL: leave it out")


def _check_timing(timing: TimingConfig, kind: str, place: str, faults: Faults) -> None:
    least = {"block_time_s": 1, "inclusion_s": 1, "finality_s": 1 if kind == EVM else 0, "observation_s": 1}
    for name in TimingConfig.__struct_fields__:
        value = getattr(timing, name)
        if not least.get(name, 0) <= value <= MAX_TIMING_S:
            faults.add(
                f"{place}.{name}", f"{value} is not a number of seconds from {least.get(name, 0)} to {MAX_TIMING_S}"
            )
    if timing.inclusion_s < timing.block_time_s:
        faults.add(
            f"{place}.inclusion_s",
            f"{timing.inclusion_s} is less than block_time_s = {timing.block_time_s}: a transaction waits for a block",
        )


def _genesis(text: str, place: str, faults: Faults) -> str:
    digits = text.removeprefix("0x").lower()
    try:
        raw = bytes.fromhex(digits) if digits.isalnum() else b""
    except ValueError:
        raw = b""
    if len(raw) != GENESIS_BYTES or not any(raw):
        faults.add(place, f"{shown(text)} is not the first block's hash: write its {2 * GENESIS_BYTES} hex digits")
        return text
    return digits


def _endpoints(endpoints: tuple[EndpointConfig, ...], place: str, faults: Faults) -> tuple[EndpointConfig, ...]:
    if not 0 < len(endpoints) <= MAX_ENDPOINTS:
        faults.add(place, f"{len(endpoints)} endpoints: write 1 to {MAX_ENDPOINTS}, of different operators if you can")
    hosts: dict[str, str] = {}
    operators: dict[str, str] = {}
    for number, endpoint in enumerate(endpoints):
        at = f"{place}[{number}]"
        url = _check_url(endpoint.url, ("http", "https"), f"{at}.url", faults)
        if endpoint.ws is not None:
            _check_url(endpoint.ws, ("ws", "wss"), f"{at}.ws", faults)
        rate = endpoint.calls_per_s
        if rate is not None and not 0 < rate <= MAX_CALLS_PER_S:
            faults.add(
                f"{at}.calls_per_s",
                f"{rate} is not a number above 0 and up to {MAX_CALLS_PER_S:,.0f}: leave it out for no limit",
            )
        spelt = operators.setdefault(endpoint.operator.strip().casefold(), endpoint.operator)
        if spelt != endpoint.operator:
            faults.add(
                f"{at}.operator", f"{shown(endpoint.operator)} and {shown(spelt)} count as two: spell them alike"
            )
        host = (url.hostname or "") if url is not None else ""
        if host and not host.startswith(_LOCAL) and hosts.setdefault(host, endpoint.operator) != endpoint.operator:
            faults.add(
                f"{at}.operator",
                f"{host} is run by {shown(hosts[host])} already: one operator counts once, give both the same name",
            )
    refuse_twins((one.url.rstrip("/") for one in endpoints), lambda n: f"{place}[{n}].url", "URL", faults)
    sockets = [(n, one.ws.rstrip("/")) for n, one in enumerate(endpoints) if one.ws is not None]
    refuse_twins((ws for _, ws in sockets), lambda n: f"{place}[{sockets[n][0]}].ws", "URL", faults)
    return endpoints


def _check_url(text: str, schemes: tuple[str, ...], place: str, faults: Faults) -> SplitResult | None:
    example = f"{schemes[0]}://host:port"
    try:
        url = urlsplit(text)
        if url.scheme in schemes and url.hostname and (url.port is None or url.port > 0) and " " not in text:
            return url
    except ValueError:
        pass
    faults.add(place, f"{shown(text)} is not a URL such as {example}")
    return None


def check_http_url(text: str, place: str, faults: Faults) -> SplitResult | None:
    """A URL that is called over HTTP; None with a fault."""
    return _check_url(text, ("http", "https"), place, faults)


def _assets(chain: ChainConfig, name: str, place: str, faults: Faults) -> tuple[str, ...]:
    made = []
    for number, text in enumerate(chain.assets):
        at = f"{place}[{number}]"
        asset = parsed(parse_asset, text, at, faults)
        with faults.at(at):
            _check_asset(asset, name, chain.kind)
        made.append(asset)
    refuse_twins(made, lambda number: f"{place}[{number}]", "asset", faults)
    return tuple(made)


def _check_asset(asset: str, chain: str, kind: str) -> None:
    home, slash, reference = asset.partition("/")
    if not slash:
        return  # a fault of its own already
    if home != chain:
        raise RejectedError(f"{shown(asset)} is not an asset on {chain}: move it to its chain, or correct it")
    if asset.endswith(NOBODY):
        raise RejectedError(f"{shown(asset)} is not a token: no contract has that address")
    if kind == EVM and reference != NATIVE_REFERENCE and not reference.startswith("erc20:"):
        raise RejectedError(
            f"{shown(asset)} cannot be locked: write {chain}/{NATIVE_REFERENCE} for the native coin, "
            f"or {chain}/erc20:0x… for a token"
        )


def _contract(chain: ChainConfig, name: str, place: str, faults: Faults) -> str | None:
    if chain.contract is None:
        if chain.kind == EVM:
            faults.add(place, "is missing: the account of the HashedTimelock on this chain")
        return None
    if chain.kind == CONSORTIUM:
        return chain.contract
    return _account_on(name, chain.contract, place, faults)


def _contracts(
    contracts: tuple[ContractConfig, ...], name: str, place: str, faults: Faults
) -> tuple[ContractConfig, ...]:
    made = tuple(
        msgspec.structs.replace(one, account=_account_on(name, one.account, f"{place}[{number}].account", faults))
        for number, one in enumerate(contracts)
    )
    refuse_twins((one.account for one in made), lambda number: f"{place}[{number}].account", "contract", faults)
    return made


def _account_on(chain: str, text: str, place: str, faults: Faults) -> str:
    with faults.at(place):
        account = parse_account(text)
        if chain_of(account) != chain:
            raise RejectedError(f"{shown(text)} is not an account on {chain}")
        if account.endswith(NOBODY):
            raise RejectedError(f"{shown(text)} is nobody's account: write the contract's")
        return account
    return text
