"""The ledger's own organisations: who takes part, in which roles, and how that changes by votes.

Spoken by the same rooms as `core.model.consortium`, whose messages, leaves and events these are a part of.
"""

from typing import Final, Literal

import msgspec

Role = Literal["issuer", "notary", "regulator", "validator"]
ROLES: Final[tuple[Role, ...]] = ("issuer", "notary", "regulator", "validator")
"""In the order in which an organisation's terms list them."""
MAX_ORGANISATIONS: Final = 1_000
MAX_VALIDATORS: Final = 100
MAX_POWER: Final = 2**40
"""Consensus power of one validator."""
PROPOSAL_LIFETIME_MS: Final = 7 * 24 * 3_600 * 1_000
"""Ledger time during which a proposal may be voted on."""
MAX_VOIDED: Final = 16
"""Open proposals about an organisation that are void at once when it changes; any others are when they are voted on."""
MAX_OPEN_PROPOSALS: Final = 16
"""Of one organisation."""
MAX_ADMITTED: Final = 10_000
"""Accounts that one organisation answers for at a time."""


class Organisation(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One organisation's terms, as proposed and as they stand.

    `account` is the 20-byte address it signs with. `roles` are in the order of `ROLES`; none means that it has left.
    With the role validator it has a consensus key (`key_kind` as CometBFT names it, and its public key's bytes) and a
    positive `power`; without it these are empty and 0.
    """

    name: str
    account: bytes
    roles: tuple[str, ...]
    key_kind: str = ""
    key: bytes = b""
    power: int = 0


# --- messages ----------------------------------------------------------------------------------------------------


class Propose(
    msgspec.Struct, frozen=True, gc=False, array_like=True, tag="members/propose", forbid_unknown_fields=True
):
    """A validator operator's proposal that `organisation` should stand like this; it is its proposer's first vote."""

    organisation: Organisation
    version: int = 0
    """Of the list of members that it was made against; 0: whichever it meets."""


class Vote(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="members/vote", forbid_unknown_fields=True):
    """A validator operator's vote on proposal number `proposal`, once and for all."""

    proposal: int
    approve: bool


class Admit(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="members/admit", forbid_unknown_fields=True):
    """An organisation answers for `account` from now on, or, with `admitted` false, no longer."""

    account: bytes
    admitted: bool


# --- state -------------------------------------------------------------------------------------------------------

ORGANISATIONS: Final = b"members"
"""The sequence of all names that ever stood, in order of arrival; an entry is the name."""
PROPOSALS: Final = b"members/proposals"
"""The sequence of all proposals; an entry is a `ProposalLeaf`."""
MISBEHAVIOUR: Final = b"members/misbehaviour"
"""The sequence of everything that CometBFT has reported of validators, and of proven double attestations; an entry is a
`MisbehaviourLeaf`."""
VALIDATORS_KEY: Final = b"members/validators"
VERSION_KEY: Final = b"members/version"
"""How often the list of members was changed, an 8-byte big-endian integer; its version is one more."""


def organisation_key(name: str) -> bytes:
    return b"members/organisation/" + name.encode()


def organisation_of_key(account: bytes) -> bytes:
    """The name of the organisation that signs with this account."""
    return b"members/account/" + account


def admission_key(account: bytes) -> bytes:
    return b"members/admitted/" + account


class AdmissionLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """Who answers for an account: the name of an organisation, empty for the genesis file."""

    organisation: str


class ProposalLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """One proposal for ever. `votes` are (operator, approval) in order of arrival, the proposer's first.

    `version` is that of the list of members when it was made; `tally` the power for it, against it and in all when the
    newest vote came in. It is void once its organisation was changed by another proposal, or made impossible.
    """

    organisation: Organisation
    proposer: bytes
    expires_ms: int
    status: Literal["open", "passed", "rejected", "void"]
    votes: tuple[tuple[bytes, bool], ...]
    version: int = 1
    tally: tuple[int, int, int] = (0, 0, 0)


class MisbehaviourLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """An offence of a validator (`duplicate-vote`, `light-client-attack`, `double-attestation`, `other`), for ever.

    `validator` is its consensus address, `organisation` whose it was when that was reported, empty if nobody's by then.
    `height` and `time_ms` are those of the offence, when it had `power` of `total`; for a double attestation, those of
    its report.
    """

    kind: str
    validator: bytes
    organisation: str
    height: int
    time_ms: int
    power: int
    total: int


class ValidatorsLeaf(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """The validators as (key kind, public key, power), sorted: those of two heights later."""

    validators: tuple[tuple[str, bytes, int], ...]


# --- events ------------------------------------------------------------------------------------------------------


class MemberProposed(msgspec.Struct, frozen=True, gc=False, tag="members.propose"):
    proposal: int
    organisation: str
    proposer: bytes
    expires_ms: int
    version: int


class MemberVoted(msgspec.Struct, frozen=True, gc=False, tag="members.vote"):
    """`ballot` is "yes" or "no"; `status` is the proposal's after this vote."""

    proposal: int
    voter: bytes
    ballot: str
    status: str


class MemberChanged(msgspec.Struct, frozen=True, gc=False, tag="members.change"):
    """An organisation's terms from now on; `roles` are joined by commas. `version` is the list's from now on."""

    organisation: str
    account: bytes
    roles: str
    key: bytes
    power: int
    version: int


class ProposalVoided(msgspec.Struct, frozen=True, gc=False, tag="members.void"):
    """A proposal cannot pass any more: its organisation was changed, or its terms have become impossible."""

    proposal: int
    organisation: str


class MisbehaviourSeen(msgspec.Struct, frozen=True, gc=False, tag="members.misbehaviour"):
    """An event of a block, or of a transaction that proves a double attestation; the fields are those of
    `MisbehaviourLeaf`."""

    kind: str
    validator: bytes
    organisation: str
    height: int
    time_ms: int
    power: int
    total: int


class AccountAdmitted(msgspec.Struct, frozen=True, gc=False, tag="members.admit"):
    """`admitted` is "yes" or "no"."""

    account: bytes
    organisation: str
    admitted: str


MembersEvent = MemberProposed | MemberVoted | MemberChanged | ProposalVoided | MisbehaviourSeen | AccountAdmitted
