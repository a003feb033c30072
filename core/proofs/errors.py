"""Errors of verifiers. Each is a `RejectedError`: the proof has to change, trying again does not help.

ProofError
├── MalformedProofError        not in the expected form, or larger than its limit
├── InvalidProofError          well formed, but proves something else, or nothing
├── LightClientError           a header that the trusted one does not vouch for
│   ├── InvalidHeaderError     contradicts itself or the trusted header
│   ├── InvalidCommitError     a signature is wrong, misplaced or doubled
│   ├── InsufficientPowerError no more than ⅔ of its own validators, or of the sync committee, signed
│   ├── NotEnoughTrustError    too few of the *trusted* validators signed: bisect, ask for a header in between
│   ├── TrustExpiredError      the trusted header is older than the trusting period: get a new anchor
│   └── FutureHeaderError      its time is ahead of ours by more than the allowed drift
└── AnchorMismatchError        the evidence speaks of another chain than the verifier's anchor
"""

from core.model.errors import RejectedError


class ProofError(RejectedError):
    """The proof is not accepted."""

    code = "invalid-proof"


class MalformedProofError(ProofError):
    """It cannot be parsed strictly, or exceeds a limit."""

    code = "malformed-proof"


class InvalidProofError(ProofError):
    """It parses, but does not prove the claim."""


class LightClientError(ProofError):
    """The trusted header does not vouch for this one."""

    code = "untrusted-header"


class InvalidHeaderError(LightClientError):
    """The header contradicts itself, its commit, or the trusted header."""


class InvalidCommitError(LightClientError):
    """The commit has a wrong, misplaced or doubled signature."""


class InsufficientPowerError(LightClientError):
    """No more than ⅔ of the header's own validators, or of its sync committee, signed it."""


class NotEnoughTrustError(LightClientError):
    """Too little of the trusted validators signed. A header in between may still be verifiable."""

    code = "not-enough-trust"


class TrustExpiredError(LightClientError):
    """The trusted header is outside its trusting period, which ended at `fields['until_s']`."""

    code = "trust-expired"


class FutureHeaderError(LightClientError):
    """The header's time is ahead of now by more than the allowed clock drift."""


class AnchorMismatchError(ProofError):
    """Chain id, genesis or trusted header differ from the verifier's anchor."""

    code = "wrong-anchor"
