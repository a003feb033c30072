"""Who answers for whom: accounts that an organisation admitted, and strangers.

It decides who may write records, and how much of a block an account may have (`engine.lanes`).
"""

from enum import StrEnum
from typing import Final

from core.model.consortium import ResultCode, decode_leaf, encode_leaf
from core.model.consortium_members import (
    MAX_ADMITTED,
    AccountAdmitted,
    AdmissionLeaf,
    Admit,
    Organisation,
    admission_key,
    organisation_of_key,
)
from local_chains.consortium.ledger.context import Context, refuse, require_address
from local_chains.consortium.ledger.leaves import read, read_count, write, write_count
from local_chains.consortium.ledger.members import organisation_called
from local_chains.consortium.ledger.view import Overlay, StateView


class Standing(StrEnum):
    """An account's standing with the members: it decides how much of a block the account may have."""

    MEMBER = "member"
    ADMITTED = "admitted"
    STRANGER = "stranger"


def standing(state: StateView, account: bytes) -> Standing:
    """An organisation's own account is a member's; another is admitted if somebody who takes part answers for it."""
    if member_of(state, account) is not None:
        return Standing.MEMBER
    raw = state.get(admission_key(account))
    if raw is None:
        return Standing.STRANGER
    return Standing.ADMITTED if _answers(state, raw) else Standing.STRANGER


def member_of(state: StateView, account: bytes) -> Organisation | None:
    """The organisation that signs with this account and has not left."""
    name = state.get(organisation_of_key(account))
    organisation = None if name is None else organisation_called(state, name.decode())
    return organisation if organisation is not None and organisation.roles else None


def require_admitted(context: Context) -> None:
    """Refuses strangers."""
    if standing(context.state, context.sender) is Standing.STRANGER:
        refuse(ResultCode.NOT_ADMITTED, "no organisation answers for this account: ask one to admit it")


def admit(context: Context, message: Admit) -> None:
    require_address(message.account, "account")
    organisation = member_of(context.state, context.sender)
    if organisation is None:
        refuse(ResultCode.MISSING_ROLE, "this takes an organisation with a role")
    key = admission_key(message.account)
    raw = context.state.get(key)
    before = None if raw is None else read(context.state, key, AdmissionLeaf)
    mine = before is not None and before.organisation == organisation.name
    if message.admitted:
        if raw is not None and _answers(context.state, raw):
            refuse(ResultCode.BAD_ORGANISATION, "somebody answers for this account already")
        count = read_count(context.state, _admissions_key(organisation.name))
        if not mine and count >= MAX_ADMITTED:
            refuse(ResultCode.TOO_MANY_ADMITTED, f"an organisation answers for at most {MAX_ADMITTED} accounts")
        _release(context.state, before)
        write(context.state, key, AdmissionLeaf(organisation.name))
        write_count(context.state, _admissions_key(organisation.name), count + (not mine))
    else:
        if before is None:
            refuse(ResultCode.NOT_ADMITTED, "nobody answers for this account")
        if not mine and (before.organisation or "validator" not in organisation.roles):
            refuse(ResultCode.BAD_ORGANISATION, f"{before.organisation or 'the genesis file'} answers for this account")
        _release(context.state, before)
        context.state.delete(key)
    context.events.append(AccountAdmitted(message.account, organisation.name, "yes" if message.admitted else "no"))


def _release(state: Overlay, before: AdmissionLeaf | None) -> None:
    """Whoever answered for an account does not any more."""
    if before is not None and before.organisation:
        key = _admissions_key(before.organisation)
        write_count(state, key, read_count(state, key) - 1)


def _answers(state: StateView, raw: bytes) -> bool:
    """Return true if the admission `raw` is by the genesis file, or by an organisation that has not left."""
    if raw == ADMITTED_AT_GENESIS:
        return True
    organisation = organisation_called(state, decode_leaf(raw, AdmissionLeaf).organisation)
    return organisation is not None and bool(organisation.roles)


def _admissions_key(name: str) -> bytes:
    """For how many accounts an organisation answers, an 8-byte big-endian integer."""
    return b"members/admissions/" + name.encode()


ADMITTED_AT_GENESIS: Final = encode_leaf(AdmissionLeaf(""))
