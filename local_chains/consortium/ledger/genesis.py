"""The state before the first block, from the `app_state` of a genesis file."""

from typing import Any

import msgspec

from core.model.consortium import (
    ADDRESS_BYTES,
    CLOCK_KEY,
    AccountLeaf,
    AssetLeaf,
    account_key,
    address,
    attests_for_key,
    quantity,
    value_of,
)
from core.model.consortium_members import Organisation, admission_key, organisation_of_key
from core.model.errors import RejectedError
from core.model.types import MAX_BASE_UNITS
from core.proofs.cometbft.types import KeyKind, PublicKey, Validator
from local_chains.consortium.ledger.admission import ADMITTED_AT_GENESIS
from local_chains.consortium.ledger.bank import MAX_ASSETS, MAX_DECIMALS, write_new_asset
from local_chains.consortium.ledger.bridge import put_attestor
from local_chains.consortium.ledger.context import Refusal, require_name
from local_chains.consortium.ledger.leaves import write, write_count
from local_chains.consortium.ledger.members import (
    fault_of,
    organisation_called,
    put_organisation,
    read_validators,
)
from local_chains.consortium.ledger.view import Overlay, StateView, Writes


class GenesisAsset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An asset that exists from the start; `issuer` is an address in hex."""

    symbol: str
    issuer: str
    decimals: int


class GenesisAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account that owns something from the start: address in hex, amounts of base units in decimal by symbol.

    `admitted`: all who agree on the genesis file answer for it.
    """

    address: str
    balances: dict[str, str]
    admitted: bool = True


class GenesisOperator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An organisation that runs a validator: the account that speaks for it (ed25519 public key in hex), its consensus
    key (kind as CometBFT names it, bytes in hex) and power, its roles other than validator, and its attestor's account
    (ed25519 public key in hex; empty: none), which counts as admitted."""

    name: str
    public_key: str
    power: int
    key_kind: str
    key: str
    roles: tuple[str, ...] = ()
    attestor: str = ""


class GenesisMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An organisation that runs no validator; `address` is the account it signs with, in hex."""

    name: str
    address: str
    roles: tuple[str, ...]


class AppState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`app_state` of a genesis file."""

    operators: tuple[GenesisOperator, ...]
    assets: tuple[GenesisAsset, ...]
    accounts: tuple[GenesisAccount, ...] = ()
    members: tuple[GenesisMember, ...] = ()


def app_state_from_json(value: Any) -> AppState:
    """Raise `RejectedError` if it is not in the expected form."""
    try:
        return msgspec.convert(value, AppState)
    except msgspec.ValidationError as error:
        raise RejectedError(f"the genesis file's app_state is wrong: {error}") from None


def genesis_writes(app_state: AppState, genesis_time_ms: int) -> Writes:
    """The first state as writes to an empty one. Raise `RejectedError` if `app_state` contradicts itself."""
    state = Overlay(_Nothing())
    write_count(state, CLOCK_KEY, genesis_time_ms)
    _write_organisations(state, app_state)
    _write_attestors(state, app_state)
    supplies = _write_accounts(state, app_state)
    _write_assets(state, app_state, supplies)
    return state.writes


def validators_of(app_state: AppState) -> tuple[Validator, ...]:
    """The validators that `app_state` names. Raise `RejectedError` if it contradicts itself."""
    state = Overlay(_Nothing())
    _write_organisations(state, app_state)
    powers = read_validators(state)
    return tuple(Validator(PublicKey(KeyKind(kind), key), power) for (kind, key), power in powers.items())


def _write_organisations(state: Overlay, app_state: AppState) -> None:
    for operator in app_state.operators:
        account = address(_bytes(operator.public_key, 32, "an operator's public key"))
        roles = (*operator.roles, "validator")
        key = _bytes(operator.key, len(operator.key) // 2, "a consensus key")
        _write_organisation(state, Organisation(operator.name, account, roles, operator.key_kind, key, operator.power))
    for member in app_state.members:
        account = _bytes(member.address, ADDRESS_BYTES, "an organisation's account")
        _write_organisation(state, Organisation(member.name, account, member.roles))


def _write_attestors(state: Overlay, app_state: AppState) -> None:
    for operator in app_state.operators:
        if not operator.attestor:
            continue
        attestor = address(_bytes(operator.attestor, 32, "an attestor's public key"))
        if state.get(attests_for_key(attestor)) is not None or state.get(organisation_of_key(attestor)) is not None:
            raise RejectedError(f"the attestor of {operator.name} has another duty in the genesis file")
        put_attestor(state, address(_bytes(operator.public_key, 32, "an operator's public key")), attestor)
        state.put(admission_key(attestor), ADMITTED_AT_GENESIS)


def _write_organisation(state: Overlay, terms: Organisation) -> None:
    try:
        require_name(terms.name, "organisation")
    except Refusal as refusal:
        raise RejectedError(refusal.message) from None
    fault = "it stands twice" if organisation_called(state, terms.name) else fault_of(state, terms)
    if fault:
        raise RejectedError(f"organisation {terms.name} of the genesis file: {fault}")
    put_organisation(state, terms)


def _write_accounts(state: Overlay, app_state: AppState) -> dict[str, int]:
    symbols = {asset.symbol for asset in app_state.assets}
    supplies = dict.fromkeys(symbols, 0)
    for account in app_state.accounts:
        raw = _bytes(account.address, ADDRESS_BYTES, "an account's address")
        if state.get(account_key(raw)) is not None:
            raise RejectedError(f"account {account.address} stands twice in the genesis file")
        balances = []
        for symbol, text in sorted(account.balances.items()):
            amount = _amount(text)
            if symbol not in symbols:
                raise RejectedError(
                    f"account {account.address} holds {symbol!r}, which the genesis file does not list as an asset"
                )
            supplies[symbol] += amount
            if amount:
                balances.append((symbol, quantity(amount)))
        write(state, account_key(raw), AccountLeaf(0, tuple(balances)))
        if account.admitted:
            state.put(admission_key(raw), ADMITTED_AT_GENESIS)
    return supplies


def _write_assets(state: Overlay, app_state: AppState, supplies: dict[str, int]) -> None:
    if len(app_state.assets) > MAX_ASSETS or len(supplies) != len(app_state.assets):
        raise RejectedError(f"a chain has at most {MAX_ASSETS} assets, each under its own symbol")
    for asset in app_state.assets:
        try:
            require_name(asset.symbol, "symbol")
        except Refusal as refusal:
            raise RejectedError(refusal.message) from None
        if not 0 <= asset.decimals <= MAX_DECIMALS or supplies[asset.symbol] > MAX_BASE_UNITS:
            raise RejectedError(f"asset {asset.symbol}: decimals are 0 to {MAX_DECIMALS}, the supply is below 2**256")
        issuer = _bytes(asset.issuer, ADDRESS_BYTES, "an issuer")
        supply = quantity(supplies[asset.symbol])
        write_new_asset(state, asset.symbol, AssetLeaf(issuer, asset.decimals, supply))


def _bytes(text: str, length: int, what: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != length:
        raise RejectedError(f"{what} is {length} bytes in hex, not {text[:80]!r}")
    return raw


def _amount(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or len(text) > 78:
        raise RejectedError(f"an amount is written in decimal digits, not as {text[:80]!r}")
    return value_of(quantity(int(text)))


class _Nothing(StateView):
    def get(self, key: bytes) -> bytes | None:
        return None
