"""Errors, sorted by who has to act next.

    CausewayError
    ├── RetryableError          nobody: the same call may succeed later (a dead endpoint, a locked database)
    │   ├── NotYetFinalError    nobody: the answer exists but is not irreversible yet
    │   ├── DisagreementError   the operator, if it lasts: endpoints contradict each other about the same block
    │   ├── UnaffordableError   the operator: the account cannot pay for the transaction
    │   ├── UnclearRefusalError nobody: refused in words that nobody here knows, so nothing may hang on the reason
    │   ├── UntrustedHeaderError  nobody: the header worker, if its allowance lasts
    │   ├── PayoutBlockedError  a token's issuer or the receiver, if it lasts: a claim could not pay now
    │   └── TooManyError        the caller, later: one caller holds more than a caller may
    ├── RejectedError           the caller: the request is wrong and stays wrong until it is changed
    │   ├── NotFoundError       the caller: no such thing
    │   ├── ConflictError       the caller: it contradicts what is already stored or on chain
    │   ├── MalformedIdentifierError  the caller: a chain, account or asset that its own rules refuse
    │   ├── GateClosedError     the caller: a safety gate refuses, with the inequality and its numbers
    │   └── RevertedError       the caller: the chain refuses, or refused, the transaction
    ├── ReorgedError            the follower: what was read belongs to a branch that was replaced
    └── FatalError              the operator: going on would be unsafe; what raised it ends with the reason
        └── FencedError         the operator: another process has taken over; this one ends, whatever else it does

Adapters translate every library exception into one of these. A message says what happened and what to do about it.
"""

from typing import Any, NoReturn


class CausewayError(Exception):
    """Base of all errors that are expected to be thrown during normal operation.

    `code` is a stable machine-readable word, used as the last part of a problem document's `type`.
    """

    code = "error"

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class RetryableError(CausewayError):
    """The same call may succeed later."""

    code = "unavailable"


class NotYetFinalError(RetryableError):
    """The answer exists but is not irreversible by its chain's rule yet."""

    code = "not-yet-final"


class DisagreementError(RetryableError):
    """Endpoints disagree, or fewer than the quorum answer: nothing may be revealed or funded on this ground."""

    code = "endpoints-disagree"


class UnaffordableError(RetryableError):
    """The account cannot pay what the transaction moves and may cost; the same bytes are good once it is funded."""

    code = "unaffordable"


class UnclearRefusalError(RetryableError):
    """A node refused the request, and its words and code say nothing that is known here.

    The refusal is certain, its reason is not. The caller takes the branch that is safe for every reason it may have:
    smaller requests (single exits instead of a batch, a shorter range), a better fee, another endpoint. It never
    concludes that the request can never succeed, and it never repeats the same request without end.
    """

    code = "refused-unclear"


class TooManyError(RetryableError):
    """One caller holds, or asks for, more than a caller may. `fields['retry_after_s']` says when some of it is free."""

    code = "too-many"


class UntrustedHeaderError(RetryableError):
    """A light client does not take the header of `fields['height']` yet: those between have to be proven first."""

    code = "untrusted-header"


class PayoutBlockedError(RetryableError):
    """A claim of these terms could not pay its receiver now: a token is paused, a receiver is refused or refuses.

    Nothing is funded or revealed on it. It may pass: an issuer lifts a pause, an operator a blacklist entry.
    """

    code = "payout-blocked"


class RejectedError(CausewayError):
    """The request is wrong and stays wrong until the caller changes it."""

    code = "rejected"


class NotFoundError(RejectedError):
    """The thing that was asked for does not exist."""

    code = "not-found"


class ConflictError(RejectedError):
    """The request contradicts what is already stored or on chain."""

    code = "conflict"


class MalformedIdentifierError(RejectedError):
    """A chain, account or asset is not written by its namespace's rules, or its checksum is wrong."""

    code = "malformed-identifier"


class GateClosedError(RejectedError):
    """A safety gate does not hold. `fields` carries the inequality and its numbers."""

    code = "gate-closed"


class RevertedError(RejectedError):
    """The chain refuses the transaction, or has included it as failed. `fields['reason']` is the chain's own word."""

    code = "reverted"


class ReorgedError(CausewayError):
    """The data belongs to a branch that was replaced; start again from the common ancestor."""

    code = "reorged"


class FatalError(CausewayError):
    """Going on would be unsafe. The duty that raised it ends, often the process with it, and the operator reads why."""

    code = "fatal"


class FencedError(FatalError):
    """Another process has taken over what this one does: this one ends at once and signs nothing more."""

    code = "fenced"


def refuse(message: str, **fields: Any) -> NoReturn:
    """Raise a `FatalError`: used if a money invariant is broken."""
    raise FatalError(message, **fields)


def require(condition: bool, message: str, **fields: Any) -> None:
    """Hold a money invariant, also under `python -O`. Raise `FatalError`."""
    if not condition:
        refuse(message, **fields)
