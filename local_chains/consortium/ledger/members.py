"""Members: organisations and their roles, changed by more than ⅔ of the consensus power; the validators among them.

A proposal states an organisation's terms as they shall be. Votes count by the power their operators have when the last
of them comes in; it passes at a yes only, and is void once its organisation was changed by another one. A change of
validators takes effect two heights later, by CometBFT's rule: here stands the set that will be, so that no change is
ever computed from one that is not.
"""

from dataclasses import dataclass
from typing import Final, Literal

from msgspec.structs import replace

from core.model.consortium import ResultCode, encode_leaf, sequence_key
from core.model.consortium_members import (
    MAX_OPEN_PROPOSALS,
    MAX_ORGANISATIONS,
    MAX_POWER,
    MAX_VALIDATORS,
    MAX_VOIDED,
    ORGANISATIONS,
    PROPOSAL_LIFETIME_MS,
    PROPOSALS,
    ROLES,
    VALIDATORS_KEY,
    VERSION_KEY,
    MemberChanged,
    MemberProposed,
    MemberVoted,
    Organisation,
    ProposalLeaf,
    ProposalVoided,
    Propose,
    Role,
    ValidatorsLeaf,
    Vote,
    organisation_key,
    organisation_of_key,
)
from core.model.errors import require
from core.proofs.cometbft.types import KeyKind, PublicKey
from core.proofs.errors import MalformedProofError
from local_chains.consortium.ledger.context import Context, refuse, require_address, require_name
from local_chains.consortium.ledger.leaves import (
    OPERATORS_KEY,
    OpenProposalsLeaf,
    OperatorsLeaf,
    open_proposals_key,
    read,
    read_count,
    read_operators,
    write,
    write_count,
)
from local_chains.consortium.ledger.sequences import append, length
from local_chains.consortium.ledger.view import Overlay, StateView

Status = Literal["open", "passed", "rejected", "void"]


@dataclass(frozen=True, slots=True)
class ValidatorUpdate:
    """A validator's power from two heights later on; 0 removes it (CometBFT spec, ABCI "Validator updates")."""

    public_key: PublicKey
    power: int


# --- messages ----------------------------------------------------------------------------------------------------


def propose(context: Context, message: Propose) -> None:
    powers = _require_operator(context)
    terms = message.organisation
    _check(context.state, terms)
    version = members_version(context.state)
    if message.version and not _changed_at(context.state, terms.name) <= message.version <= version:
        refuse(ResultCode.BAD_ORGANISATION, f"{terms.name} was changed: the list of members has version {version}")
    still_open = _still_open(context)
    if len(still_open) >= MAX_OPEN_PROPOSALS:
        refuse(ResultCode.TOO_MANY_PROPOSALS, f"an operator has at most {MAX_OPEN_PROPOSALS} proposals open")
    expires_ms = context.time_ms + PROPOSAL_LIFETIME_MS
    leaf = ProposalLeaf(terms, context.sender, expires_ms, "open", ((context.sender, True),), version)
    number = append(context.state, PROPOSALS, encode_leaf(leaf))
    write(context.state, open_proposals_key(context.sender), OpenProposalsLeaf((*still_open, number)))
    _write_about(context.state, terms.name, (*_not_expired(context, _about(context.state, terms.name)), number))
    context.events.append(MemberProposed(number, terms.name, context.sender, expires_ms, version))
    _count(context, number, leaf, powers)


def vote(context: Context, message: Vote) -> None:
    powers = _require_operator(context)
    leaf = _proposal(context.state, message.proposal)
    if leaf is None:
        refuse(ResultCode.UNKNOWN_PROPOSAL, "there is no proposal of this number")
    if leaf.status != "open" or context.time_ms >= leaf.expires_ms:
        status = leaf.status if leaf.status != "open" else "expired"
        refuse(ResultCode.PROPOSAL_CLOSED, f"the proposal is {status}")
    if _changed_at(context.state, leaf.organisation.name) > leaf.version:
        _void(context, message.proposal, leaf)
        return
    for voter, approve in leaf.votes:
        if voter == context.sender:
            same = approve == message.approve
            code = ResultCode.DUPLICATE_VOTE if same else ResultCode.CONFLICTING_VOTE
            refuse(code, "this operator has voted on this proposal already")
    votes = (*leaf.votes, (context.sender, message.approve))
    _count(context, message.proposal, replace(leaf, votes=votes), powers)


def require_role(context: Context, role: Role) -> None:
    """Refuses a sender whose organisation does not have it."""
    if not has_role(context.state, context.sender, role):
        refuse(ResultCode.MISSING_ROLE, f"this takes an organisation with the role {role}")


def has_role(state: StateView, account: bytes, role: Role) -> bool:
    """Return true if the account is an organisation's that has the role."""
    name = state.get(organisation_of_key(account))
    organisation = None if name is None else organisation_called(state, name.decode())
    return organisation is not None and role in organisation.roles


def organisation_called(state: StateView, name: str) -> Organisation | None:
    return read(state, organisation_key(name), Organisation)


def _require_operator(context: Context) -> dict[bytes, int]:
    powers = read_operators(context.state)
    if context.sender not in powers:
        refuse(ResultCode.MISSING_ROLE, "this takes an organisation with the role validator")
    return powers


# --- proposals ---------------------------------------------------------------------------------------------------


def _proposal(state: StateView, number: int) -> ProposalLeaf | None:
    if not 0 < number <= length(state, PROPOSALS):
        return None
    return read(state, sequence_key(PROPOSALS, number), ProposalLeaf)


def _still_open(context: Context) -> tuple[int, ...]:
    known = read(context.state, open_proposals_key(context.sender), OpenProposalsLeaf) or OpenProposalsLeaf(())
    found = []
    for number in known.proposals:
        leaf = _proposal(context.state, number)
        if leaf is not None and leaf.status == "open" and context.time_ms < leaf.expires_ms:
            found.append(number)
    return tuple(found)


def _count(context: Context, number: int, leaf: ProposalLeaf, powers: dict[bytes, int]) -> None:
    """Write a proposal with its newest vote, and what follows from it: it passes at a yes only."""
    total = sum(powers.values())
    for_it = sum(powers.get(voter, 0) for voter, approve in leaf.votes if approve)
    against = sum(powers.get(voter, 0) for voter, approve in leaf.votes if not approve)
    voter, approve = leaf.votes[-1]
    status: Status = "open"
    if approve and 3 * for_it > 2 * total:
        # Other proposals may have passed since this one was made.
        impossible = fault_of(context.state, leaf.organisation) or _step_fault(context.state, leaf.organisation)
        status = "void" if impossible else "passed"
    elif 3 * against >= total:
        status = "rejected"
    leaf = replace(leaf, status=status, tally=(for_it, against, total))
    write(context.state, sequence_key(PROPOSALS, number), leaf)
    context.events.append(MemberVoted(number, voter, "yes" if approve else "no", status))
    if status == "void":
        context.events.append(ProposalVoided(number, leaf.organisation.name))
    if status != "open":
        name = leaf.organisation.name
        others = tuple(other for other in _about(context.state, name) if other != number)
        _write_about(context.state, name, others)
        if status == "passed":
            _change(context, leaf.organisation, others)


def _change(context: Context, terms: Organisation, others: tuple[int, ...]) -> None:
    """Let terms stand. `others` are open proposals about the same organisation, which are void."""
    version = members_version(context.state) + 1
    write_count(context.state, VERSION_KEY, version - 1)
    write_count(context.state, _changed_key(terms.name), version)
    context.events.append(put_organisation(context.state, terms, version))
    for number in others[:MAX_VOIDED]:
        other = _proposal(context.state, number)
        if other is not None and other.status == "open" and context.time_ms < other.expires_ms:
            _void(context, number, other)
    _write_about(context.state, terms.name, others[MAX_VOIDED:])


def _void(context: Context, number: int, leaf: ProposalLeaf) -> None:
    write(context.state, sequence_key(PROPOSALS, number), replace(leaf, status="void"))
    context.events.append(ProposalVoided(number, leaf.organisation.name))


def _about(state: StateView, name: str) -> tuple[int, ...]:
    """Proposals about an organisation that were open when that was last looked at, oldest first."""
    leaf = read(state, _about_key(name), OpenProposalsLeaf)
    return () if leaf is None else leaf.proposals


def _write_about(state: Overlay, name: str, numbers: tuple[int, ...]) -> None:
    if numbers:
        write(state, _about_key(name), OpenProposalsLeaf(numbers))
    else:
        state.delete(_about_key(name))


def _not_expired(context: Context, numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Without the oldest that have expired: proposals expire in their order."""
    for place, number in enumerate(numbers[:MAX_OPEN_PROPOSALS]):
        leaf = _proposal(context.state, number)
        if leaf is not None and context.time_ms < leaf.expires_ms:
            return numbers[place:]
    return numbers[MAX_OPEN_PROPOSALS:]


def members_version(state: StateView) -> int:
    """The version of the list of members: 1 at first, one more with every change."""
    return read_count(state, VERSION_KEY) + 1


def _changed_at(state: StateView, name: str) -> int:
    """The version of the list of members that an organisation was last changed by."""
    return read_count(state, _changed_key(name)) or 1


def _changed_key(name: str) -> bytes:
    return b"members/changed/" + name.encode()


def _about_key(name: str) -> bytes:
    return b"members/about/" + name.encode()


# --- organisations -----------------------------------------------------------------------------------------------


def put_organisation(state: Overlay, terms: Organisation, version: int = 1) -> MemberChanged:
    """Let an organisation stand under these terms, which `fault_of` finds nothing wrong with.

    `version` is the list's from now on.
    """
    before = organisation_called(state, terms.name)
    if before is None:
        append(state, ORGANISATIONS, terms.name.encode())
    elif before.account != terms.account:
        state.delete(organisation_of_key(before.account))
    write(state, organisation_key(terms.name), terms)
    state.put(organisation_of_key(terms.account), terms.name.encode())
    powers = read_operators(state)
    keys = read_validators(state)
    if before is not None and before.power:
        powers.pop(before.account)
        keys.pop((before.key_kind, before.key))
    if terms.power:
        powers[terms.account] = terms.power
        keys[(terms.key_kind, terms.key)] = terms.power
    if terms.power or (before is not None and before.power):
        write(state, OPERATORS_KEY, OperatorsLeaf(tuple(sorted(powers.items()))))
        write(state, VALIDATORS_KEY, ValidatorsLeaf(tuple(sorted((*name, power) for name, power in keys.items()))))
    return MemberChanged(terms.name, terms.account, ",".join(terms.roles), terms.key, terms.power, version)


def fault_of(state: StateView, terms: Organisation) -> str:
    """Why no organisation can stand under these terms; empty if one can."""
    if tuple(role for role in ROLES if role in terms.roles) != terms.roles:
        return f"roles are some of {', '.join(ROLES)}, in this order"
    before = organisation_called(state, terms.name)
    if before is None and length(state, ORGANISATIONS) >= MAX_ORGANISATIONS:
        return f"a chain has at most {MAX_ORGANISATIONS} organisations"
    holder = state.get(organisation_of_key(terms.account))
    if holder is not None and holder.decode() != terms.name:
        return f"this account is {holder.decode()}'s"
    return _consensus_fault(state, terms, before)


def _consensus_fault(state: StateView, terms: Organisation, before: Organisation | None) -> str:
    others = read_validators(state)
    kinds = {kind for kind, _ in others}
    if before is not None and before.power:
        others.pop((before.key_kind, before.key))
    if "validator" not in terms.roles:
        if _consensus(terms) != NO_CONSENSUS:
            return "only a validator has a consensus key and power"
        return "" if others or not kinds else "the last validator has to stay"
    if not 0 < terms.power <= MAX_POWER:
        return f"a validator's power is 1 to {MAX_POWER}"
    if kinds and terms.key_kind not in kinds:
        return f"this chain's validators have keys of kind {', '.join(sorted(kinds))}"
    if (terms.key_kind, terms.key) in others:
        return "this consensus key is another validator's"
    if len(others) >= MAX_VALIDATORS:
        return f"a chain has at most {MAX_VALIDATORS} validators"
    return "" if _is_key(terms) else "the consensus key is not a key of its kind"


NO_CONSENSUS: Final = ("", b"", 0)


def _consensus(terms: Organisation) -> tuple[str, bytes, int]:
    return terms.key_kind, terms.key, terms.power


def _is_key(terms: Organisation) -> bool:
    try:
        # Taking the address decompresses the point, which fails if there is none.
        return bool(PublicKey(KeyKind(terms.key_kind), terms.key).address)
    except (ValueError, MalformedProofError):
        return False


def _check(state: StateView, terms: Organisation) -> None:
    require_name(terms.name, "organisation")
    require_address(terms.account, "organisation's account")
    fault = fault_of(state, terms)
    if fault:
        refuse(ResultCode.BAD_ORGANISATION, fault)


def _step_fault(state: StateView, terms: Organisation) -> str:
    """Why these terms are too large a step, of the power that there is now; empty if they are not. Those who trust the
    validators before it must be able to follow."""
    before = organisation_called(state, terms.name)
    step = abs(terms.power - (0 if before is None else before.power))
    total = sum(read_operators(state).values())
    if 3 * step > total:
        return f"one proposal changes at most a third of the power, which is {total}: {step} takes several"
    return ""


# --- validators --------------------------------------------------------------------------------------------------


def read_validators(state: StateView) -> dict[tuple[str, bytes], int]:
    """Power by (key kind, public key), of two heights later."""
    leaf = read(state, VALIDATORS_KEY, ValidatorsLeaf)
    return {} if leaf is None else {(kind, key): power for kind, key, power in leaf.validators}


def validator_updates(before: StateView, after: StateView) -> tuple[ValidatorUpdate, ...]:
    """Return what the engine must change because of a block: each key once, sorted."""
    old, new = read_validators(before), read_validators(after)
    require(bool(new) or not old, "a chain keeps a validator")
    return tuple(
        ValidatorUpdate(PublicKey(KeyKind(kind), key), new.get((kind, key), 0))
        for kind, key in sorted(old.keys() | new.keys())
        if old.get((kind, key)) != new.get((kind, key))
    )
