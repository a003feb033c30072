"""`causeway chain members|propose|vote|issue`: a consortium chain's organisations, how they change, what they issue."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from adapters.consortium import Ed25519Signer, connect, unsigned
from adapters.consortium.chain import ConsortiumChain
from adapters.consortium.members import MembersView, ProposalView, read_members
from adapters.consortium.rpc import CometRpc, parsed
from adapters.consortium.state import query, read_leaf
from core.model.addresses import ledger_address
from core.model.consortium import (
    NAMESPACE,
    Appoint,
    AssetLeaf,
    Issue,
    Message,
    asset_key,
    caip_account,
    caip_asset,
    caip_chain,
    quantity,
    raw_address,
)
from core.model.consortium_members import ROLES, Admit, Organisation, Propose, Role, Vote, admission_key
from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_account
from core.model.types import Asset, ChainId, Height, chain_of
from core.proofs.cometbft.json import bytes_from_hex, integer_from_json, object_from_json
from gateway.amounts import base_units
from gateway.sending import send
from local_chains.consortium.founding.application import load_application
from local_chains.consortium.node import load_operator_key

MAX_CHAIN_ID_CHARS = 50


@dataclass(frozen=True, slots=True)
class WantedTerms:
    """A proposal's changes of an organisation: None leaves it as it stands."""

    name: str
    account: str | None = None
    roles: Sequence[str] | None = None
    consensus_key: str | None = None
    power: int | None = None


def wanted_by(application: Path) -> tuple[WantedTerms, ChainId]:
    """Return the terms that a newcomer applies for, and the chain. Raise what `load_application` raises."""
    terms = load_application(application)
    roles = [*terms.roles, *(["validator"] if terms.power else [])]
    key, power = (f"{terms.key_kind}:{terms.key}", terms.power) if terms.power else (None, None)
    return WantedTerms(terms.name, terms.account_address.hex(), roles, key, power), caip_chain(terms.chain_id)


async def show(url: str) -> dict[str, Any]:
    """Everything about a chain's members, as JSON has it. Raise what `adapters.consortium.members` raises."""
    async with chain_at(url) as chain:
        return _to_json(chain.access.parameters.chain, await read_members(chain.rpc))


async def propose(url: str, key_file: Path, wanted: WantedTerms, on: ChainId | None = None) -> dict[str, Any]:
    """Propose, and vote for, an organisation's terms. Raise `RejectedError` if the chain is not `on`, `RevertedError`
    if the ledger refuses them."""
    async with chain_at(url) as chain:
        if on is not None and on != chain.access.parameters.chain:
            raise RejectedError(f"{wanted.name} applies to {on}, this node is on {chain.access.parameters.chain}")
        before = await read_members(chain.rpc)
        known = next((one for one in before.organisations if one.name == wanted.name), None)
        terms = _terms(wanted, known, chain.access.parameters.chain)
        _require_step(terms, known, sum(one.power for one in before.organisations))
        height = await send_as(chain, key_file, [Propose(terms, before.version)], f"propose {wanted.name}")
        after = _to_json(chain.access.parameters.chain, await read_members(chain.rpc))
        mine = [one for one in after["proposals"] if one["organisation"]["name"] == wanted.name]
        return {"height": height, "proposal": mine[0]}


async def vote(url: str, key_file: Path, number: int, approve: bool) -> dict[str, Any]:
    """Vote for or against proposal `number`. Raise `RevertedError` if the ledger refuses the vote."""
    async with chain_at(url) as chain:
        word = "for" if approve else "against"
        height = await send_as(chain, key_file, [Vote(number, approve)], f"vote {word} proposal {number}")
        after = _to_json(chain.access.parameters.chain, await read_members(chain.rpc))
        return {"height": height, "proposal": next((o for o in after["proposals"] if o["number"] == number), None)}


async def admit(url: str, key_file: Path, account: str, admitted: bool) -> dict[str, Any]:
    """Answer for `account`, or no longer. Raise `RevertedError` if the ledger refuses it."""
    async with chain_at(url) as chain:
        raw = account_on(account, chain.access.parameters.chain)
        height = await send_as(
            chain, key_file, [Admit(raw, admitted)], f"{'admit' if admitted else 'dismiss'} {account}"
        )
        return {"height": height, "account": caip_account(chain.access.parameters.chain, raw), "admitted": admitted}


async def appoint(url: str, key_file: Path, attestor: str) -> dict[str, Any]:
    """Let the account `attestor` attest for the operator of `key_file`, and answer for it if no member does yet; "": no
    other attests for the operator. Raise `RevertedError` if the ledger refuses it."""
    async with chain_at(url) as chain:
        name = chain.access.parameters.chain
        raw = account_on(attestor, name) if attestor else b""
        messages: list[Message] = [Appoint(raw)]
        if raw and (await query(chain.rpc, admission_key(raw))).value is None:
            messages.append(Admit(raw, True))
        height = await send_as(chain, key_file, messages, f"appoint {attestor or 'nobody'}")
        return {"height": height, "attestor": caip_account(name, raw) if raw else None}


async def issue(url: str, seed: bytes, amount: str, symbol: str, account: str) -> dict[str, Any]:
    """Create `amount` (such as 1000.50) of an asset for `account`, with the private key `seed` of its issuer.

    Raise `NotFoundError` for an asset that the chain does not have, `RejectedError` for an amount that it cannot have,
    `RevertedError` if the key is not its issuer's.
    """
    async with chain_at(url) as chain:
        name = chain.access.parameters.chain
        leaf = await read_leaf(chain.rpc, asset_key(symbol), AssetLeaf)
        if leaf is None:
            raise NotFoundError(f"{name} has no asset {symbol[:64]!r}")
        asset = Asset(caip_asset(name, symbol), symbol.upper(), leaf.decimals)
        units, receiver = base_units(asset, amount), account_on(account, name)
        message = Issue(symbol, receiver, quantity(units))
        height = await _send_by(chain, seed, [message], f"issue {amount} {symbol}")
        shown = {"asset": asset.id, "base_units": str(units), "account": caip_account(name, receiver)}
        return {"height": height, **shown}


@asynccontextmanager
async def chain_at(url: str) -> AsyncIterator[ConsortiumChain]:
    """A connection to the consortium chain that the node at `url` serves, whichever it is."""
    rpc = CometRpc(url)
    try:
        status = await rpc.call("status")
    finally:
        await rpc.close()
    network = str(object_from_json(status.get("node_info")).get("network"))[:MAX_CHAIN_ID_CHARS]
    sync = parsed(lambda: object_from_json(status.get("sync_info")))
    # A node that began at a snapshot has no first block, and none is needed: what is signed here names the chain by its
    # id, and nothing is proven. Its oldest block stands for it.
    is_whole = parsed(lambda: integer_from_json(sync.get("earliest_block_height"))) <= 1
    oldest = None if is_whole else parsed(lambda: bytes_from_hex(sync.get("earliest_block_hash"), 32))
    chain = await connect(url, ChainId(f"{NAMESPACE}:{network}"), genesis_hash=oldest)
    try:
        yield chain
    finally:
        await chain.close()


async def send_as(chain: ConsortiumChain, key_file: Path, messages: Sequence[Message], summary: str) -> Height:
    """The block of messages by the key in this file. Raise `RevertedError` if the ledger refuses them."""
    return await _send_by(chain, load_operator_key(key_file).seed, messages, summary)


async def _send_by(chain: ConsortiumChain, seed: bytes, messages: Sequence[Message], summary: str) -> Height:
    name = chain.access.parameters.chain
    signer = Ed25519Signer(name, seed)
    chain.learn(signer.public_key)
    access, transaction = chain.access, unsigned(name, signer.account, tuple(messages), summary)
    return await send(access.transactions, access.heads, signer, transaction)


def _terms(wanted: WantedTerms, known: Organisation | None, chain: ChainId) -> Organisation:
    """Raise `RejectedError` for what no ledger would take."""
    if known is None and wanted.account is None:
        raise RejectedError(f"{wanted.name} is not a member: name the --account that it signs with")
    account = known.account if wanted.account is None and known is not None else account_on(wanted.account or "", chain)
    standing = () if known is None else known.roles
    roles = standing if wanted.roles is None else _roles(wanted.roles)
    if "validator" not in roles:
        if wanted.consensus_key is not None or wanted.power is not None:
            raise RejectedError("only an organisation with --role validator has a --consensus-key and --power")
        return Organisation(wanted.name, account, roles)
    kind, key = ("", b"") if known is None else (known.key_kind, known.key)
    if wanted.consensus_key is not None:
        kind, key = _consensus_key(wanted.consensus_key)
    power = wanted.power if wanted.power is not None else 0 if known is None else known.power
    if not key or not power:
        raise RejectedError(f"{wanted.name} has none yet: a validator needs a --consensus-key and --power")
    return Organisation(wanted.name, account, roles, kind, key, power)


def _require_step(terms: Organisation, known: Organisation | None, total: int) -> None:
    """Raise `RejectedError` for a change of power that would be void in the end."""
    step = abs(terms.power - (0 if known is None else known.power))
    if 3 * step > total:
        raise RejectedError(
            f"this changes {step:,} of a power of {total:,}, one proposal changes at most a third: take several steps"
        )


def account_on(text: str, chain: ChainId) -> bytes:
    """The account that `text` names on `chain`: as CAIP-10, or its 40 hex digits alone. Raise `RejectedError`."""
    if ":" not in text:
        return bytes.fromhex(ledger_address(text))
    account = parse_account(text)
    if chain_of(account) != chain:
        raise RejectedError(f"{account} is not an account of {chain}: write its 40 hex digits, or {chain}:<hex>")
    return raw_address(account)


def _roles(texts: Sequence[str]) -> tuple[Role, ...]:
    unknown = sorted(set(texts) - set(ROLES))
    if unknown:
        raise RejectedError(f"unknown role {unknown[0]!r}: use some of {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in texts)


def _consensus_key(text: str) -> tuple[str, bytes]:
    kind, _, digits = text.partition(":")
    try:
        return kind, bytes.fromhex(digits)
    except ValueError:
        raise RejectedError(f"{text[:100]!r} is not a consensus key: KIND:HEX, such as secp256k1eth:02ab…") from None


def _to_json(chain: ChainId, view: MembersView) -> dict[str, Any]:
    total = sum(one.power for one in view.organisations)
    proposals = [
        {
            "number": one.number,
            "status": one.status,
            "power": dict(zip(("for", "against", "total"), one.leaf.tally, strict=True)),
            "power_for": round(one.power_for, 4),
            "power_against": round(one.power_against, 4),
            "expires_ms": one.leaf.expires_ms,
            "proposer": caip_account(chain, one.leaf.proposer),
            "organisation": _organisation_to_json(chain, one.leaf.organisation),
            "of_power": {
                "now": total,
                "then": total - (one.before.power if one.before else 0) + one.leaf.organisation.power,
            },
            "terms": (terms := _terms_to_json(chain, one)),
            "changes": {name: pair for name, pair in terms.items() if pair["now"] != pair["then"]},
            "version": one.leaf.version,
        }
        for one in view.proposals
    ]
    organisations = [_organisation_to_json(chain, one) for one in view.organisations]
    head = {"chain": chain, "height": view.height, "version": view.version}
    caught = [{**msgspec.structs.asdict(one), "validator": one.validator.hex()} for one in view.misbehaviour]
    return {**head, "organisations": organisations, "proposals": proposals, "misbehaviour": caught}


def _terms_to_json(chain: ChainId, one: ProposalView) -> dict[str, dict[str, Any]]:
    """Each part of a proposal's terms, as it is now and as it would be."""
    after = _organisation_to_json(chain, one.leaf.organisation)
    before = dict.fromkeys(after) if one.before is None else _organisation_to_json(chain, one.before)
    return {name: {"now": before[name], "then": after[name]} for name in after}


def _organisation_to_json(chain: ChainId, one: Organisation) -> dict[str, Any]:
    return {
        "name": one.name,
        "account": caip_account(chain, one.account),
        "roles": list(one.roles),
        "consensus_key": f"{one.key_kind}:{one.key.hex()}" if one.key else None,
        "power": one.power,
    }
