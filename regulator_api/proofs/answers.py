"""An answer with its proof as one document: `?evidence=true` makes it, `regulator_api.bundles.verify` reads it. Pure.

The member `proof` has the route and the path that were asked, the rows that figures follow from, bundles, evidence
files of chains, and for every claim of the answer the evidence that shows it, or the reason why none does. A verifier
derives the claims from the answer by itself and accepts no proof that is silent about one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec

from core.model.errors import RejectedError
from core.model.questions import Answer, AsOf, LockQuestion, Question
from core.proofs.evidence import REVIEWED_LAYOUTS, Layouts, Trusted, decode_evidence, installed_verifiers
from core.proofs.evidence import verify as verify_evidence
from core.proofs.evidence.canonical import dump
from regulator_api.bodies import EvidenceFile
from regulator_api.proofs.claims import Claim, form_of
from regulator_api.proofs.fitting import query_fault
from regulator_api.proofs.kinds import KINDS, Asked, Kind, asked_fault, blocks_of, parse_path, read_answer
from regulator_api.proofs.sums import MAX_ROWS, Row
from regulator_api.sealing import digest_of, open_bundle, read_json

KIND: Final = "answer"
MEMBER: Final = "proof"
MAX_ANSWER_BYTES: Final = 8 << 20
MAX_QUESTIONS: Final = 64
"""Evidence files in one answer."""
MAX_CLAIMS: Final = 5_000
MAX_REASON_CHARS: Final = 300
PREFIX: Final = b"causeway answer v1\0"

Text = Annotated[str, msgspec.Meta(max_length=9_000)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_REASON_CHARS)]


class ClaimView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that the answer says, at a JSON pointer into it: the place of the evidence that shows it, counted from
    0, or the reason why none does."""

    at: Text
    evidence: Annotated[int, msgspec.Meta(ge=0, lt=MAX_QUESTIONS)] | None
    reason: Reason | None


class RestView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle that a part of the answer follows from, or the reason why there is none."""

    at: Text
    bundle: dict[str, Any] | None
    reason: Reason | None


class ProofView(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proof of the answer around it: `causeway verify` reads both together. `rows` are what figures are computed
    from. `claims` are all that chains could prove, `unproven` says what else no proof shows."""

    kind: Literal["answer"]
    version: Literal[1]
    route: Text
    path: Text
    rows: Annotated[list[list[str | int | None]], msgspec.Meta(max_length=MAX_ROWS)] | None
    bundles: Annotated[list[RestView], msgspec.Meta(max_length=200)]
    evidence: Annotated[list[EvidenceFile], msgspec.Meta(max_length=MAX_QUESTIONS)]
    claims: Annotated[list[ClaimView], msgspec.Meta(max_length=MAX_CLAIMS)]
    unproven: Annotated[list[Reason], msgspec.Meta(max_length=16)]
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Ground:
    """The ground of a reader: their own anchors, the time in Unix seconds, and the layouts of tokens they reviewed."""

    trusted: Trusted
    now_s: int
    layouts: Layouts = REVIEWED_LAYOUTS


@dataclass(frozen=True, slots=True)
class Shown:
    """A proof that holds: the number of claims and of those that chains prove, the blocks that these are as of, the
    number of rows and bundles that were computed again, who keeps locks by chain, and why the rest is not proven."""

    digest: str
    route: str
    claims: int
    proven: int
    rows: int | None
    bundles: int
    blocks: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    keepers: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The proof in words."""
        parts = []
        if self.rows is not None:
            parts.append(f"its figures are computed again from {self.rows} rows")
        if self.bundles:
            parts.append(f"{self.bundles} bundles give the same again")
        if self.claims:
            parts.append(f"{self.proven} of its {self.claims} claims about chains are proven")
        blocks = [f"{chain} {low}{f' to {high}' if high != low else ''}" for chain, (low, high) in self.blocks.items()]
        if blocks:
            parts.append(f"as of the blocks {', '.join(blocks)}")
        parts += [f"locks of {chain} are kept by {keeper}" for chain, keeper in self.keepers.items()]
        return f"the answer of {self.route}: {'; '.join(parts) or 'nothing in it can be computed again or proven'}"

    @property
    def caution(self) -> str:
        """The reasons why the rest is not proven; empty if everything is."""
        said = [f"{count} times: {reason}" if count > 1 else reason for reason, count in self.reasons.items()]
        return f"not proven: {'; '.join(said)}" if said else ""


def is_answer(document: Any) -> bool:
    """Return true if a document says that it is an answer with its proof."""
    proof = document.get(MEMBER) if isinstance(document, dict) else None
    return isinstance(proof, dict) and proof.get("kind") == KIND


def sealed(answer: Mapping[str, Any], proof: Mapping[str, Any]) -> bytes:
    """The whole document, with its digest. Raise `RejectedError` if it is larger than `MAX_ANSWER_BYTES`."""
    whole = {**answer, MEMBER: {**proof, "digest": digest_of({**answer, MEMBER: proof}, PREFIX)}}
    raw = msgspec.json.encode(whole)
    if len(raw) > MAX_ANSWER_BYTES:
        raise RejectedError(
            f"the answer with its proof has {len(raw)} bytes, at most {MAX_ANSWER_BYTES} are given: ask for a shorter "
            "page (limit), a shorter span (since_s, until_s), or for the parts one by one"
        )
    return raw


def needs_anchor(document: Mapping[str, Any]) -> bool:
    """Return true if an answer with its proof has evidence of chains."""
    proof = document.get(MEMBER)
    return isinstance(proof, Mapping) and bool(proof.get("evidence"))


def verify_answer(document: Mapping[str, Any], ground: Ground | None = None) -> Shown:
    """Check an answer with its proof: compute its figures and bundles again, and verify its evidence by `ground`.

    Raise `RejectedError` that says what does not hold; without `ground`, for an answer that has evidence of chains.
    """
    answer_document = {name: value for name, value in document.items() if name != MEMBER}
    try:
        proof = msgspec.convert(document.get(MEMBER), ProofView)
    except msgspec.ValidationError as error:
        raise RejectedError(f"the proof is not in its form: {error}") from None
    unsealed = {name: value for name, value in msgspec.to_builtins(proof).items() if name != "digest"}
    if digest_of({**answer_document, MEMBER: unsealed}, PREFIX) != proof.digest:
        raise RejectedError("the digest does not fit the answer and its proof: one of them was changed")
    kind = KINDS.get(proof.route)
    if kind is None:
        raise RejectedError(f"answers of {proof.route[:120]!a} have no proof in this version")
    asked, answer = parse_path(proof.route, proof.path), read_answer(kind, answer_document)
    if fault := _asked_fault(asked, answer, proof.rows):
        raise RejectedError(f"the answer is not that of its path: {fault}")
    bundles = _check_parts(kind, answer, proof)
    claims = _claims(kind, asked, answer, proof.rows)
    if [one.at for one in claims] != [one.at for one in proof.claims]:
        raise RejectedError("the proof is silent about a claim of the answer, or speaks of one that is not there")
    blocks, keepers = _check_claims(claims, proof, answer, ground)
    said = [*(one.reason for one in proof.claims), *(one.reason for one in proof.bundles)]
    reasons = Counter(reason for reason in said if reason is not None)
    return Shown(
        digest=proof.digest,
        route=proof.route,
        claims=len(claims),
        proven=sum(one.evidence is not None for one in proof.claims),
        rows=None if proof.rows is None else len(proof.rows),
        bundles=bundles,
        blocks=blocks,
        keepers=keepers,
        reasons={**reasons, **dict.fromkeys(proof.unproven, 1)},
    )


def claims_of(kind: Kind, asked: Asked, answer: Any, rows: Sequence[Row] | None) -> list[Claim]:
    """All claims of an answer, in order. Raise `RejectedError` for more than `MAX_CLAIMS`."""
    found = list(kind.claims(asked, answer, rows or ()))
    if len(found) > MAX_CLAIMS:
        raise RejectedError(f"the answer makes {len(found)} claims, at most {MAX_CLAIMS} can be proven: ask for less")
    return found


def rows_fault(kind: Kind, answer: Any, rows: Sequence[Row] | None) -> str:
    """Return what does not follow from the rows, empty if all does."""
    if (kind.fault is None) != (rows is None):
        return "the proof lacks the rows of its figures" if rows is None else "this answer follows from no rows"
    return "" if kind.fault is None else kind.fault(answer, rows or ())


def holds(claim: Claim, question: Question, found: Answer, as_of: AsOf) -> str:
    """Return what of a claim a proven answer contradicts, empty if it shows it."""
    if form_of(question) not in claim.questions:
        return "the evidence answers another question"
    return claim.fault(question, found, as_of)


def _asked_fault(asked: Asked, answer: Any, rows: Sequence[Row] | None) -> str:
    try:
        return asked_fault(asked, answer) or query_fault(asked.query, answer, rows)
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise RejectedError(f"the answer is not in the form of its route: {error}") from None


def _claims(kind: Kind, asked: Asked, answer: Any, rows: Sequence[Row] | None) -> list[Claim]:
    try:
        return claims_of(kind, asked, answer, rows)
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise RejectedError(f"the answer is not in the form of its route: {error}") from None


def _check_parts(kind: Kind, answer: Any, proof: ProofView) -> int:
    """Compute rows and bundles again. Return how many bundles there are."""
    try:
        if fault := rows_fault(kind, answer, proof.rows):
            raise RejectedError(f"the answer does not follow from its rows: {fault}")
        wanted = kind.rests_on(answer)
        outside = {one.at: one for one in proof.bundles}
        if [one.at for one in proof.bundles] != [one.at for one in wanted if one.raw is None]:
            raise RejectedError("the proof is silent about a bundle, or has one that is not asked for")
        count = 0
        for one in wanted:
            raw = one.raw
            if raw is None:
                found = outside[one.at]
                if found.bundle is None:
                    continue
                raw = msgspec.json.encode(found.bundle, order="sorted")
            if open_bundle(raw).kind != one.kind:
                raise RejectedError(f"the bundle at {one.at} is of another kind")
            if fault := one.fault(read_json(raw)):
                raise RejectedError(f"the answer does not follow from its bundle at {one.at}: {fault}")
            count += 1
    except (LookupError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise RejectedError(f"the proof is not in its form: {error}") from None
    return count


def _check_claims(
    claims: Sequence[Claim], proof: ProofView, answer: Any, ground: Ground | None
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Verify the evidence of claims. Return the blocks by chain that it is as of, and who keeps locks."""
    if not proof.evidence and any(one.evidence is not None for one in proof.claims):
        raise RejectedError("a claim names evidence that is not there")
    if not proof.evidence:
        _check_reasons(proof)
        return {}, {}
    if ground is None:
        raise RejectedError("the answer has evidence of chains: give your own anchor to verify it")
    verifiers = installed_verifiers(ground.layouts)
    proven = [
        verify_evidence(decode_evidence(dump(msgspec.to_builtins(one))), ground.trusted, ground.now_s, verifiers)
        for one in proof.evidence
    ]
    named, used = blocks_of(answer), set[int]()
    blocks: dict[str, tuple[int, int]] = {}
    keepers: dict[str, str] = {}
    for claim, said in zip(claims, proof.claims, strict=True):
        if said.evidence is None:
            continue
        if said.evidence >= len(proven):
            raise RejectedError(f"the claim at {said.at} names evidence that is not there")
        used.add(said.evidence)
        one = proven[said.evidence]
        try:
            fault = holds(claim, one.question, one.answer, one.as_of)
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            fault = str(error)
        if fault:
            raise RejectedError(f"the evidence does not show what the answer says at {said.at}: {fault}")
        place = one.as_of.block
        if named.get((place.chain, place.height), place.hash) != place.hash:
            raise RejectedError(f"block {place.height} of {place.chain} is another one than the answer says")
        low, high = blocks.get(place.chain, (place.height, place.height))
        blocks[place.chain] = min(low, place.height), max(high, place.height)
        keeper = one.question.holder if isinstance(one.question, LockQuestion) else None
        if keeper is not None and keepers.setdefault(place.chain, keeper) != keeper:
            raise RejectedError(f"two contracts keep the locks of {place.chain}: one of them is not the chain's own")
    if used != set(range(len(proven))):
        raise RejectedError("there is evidence that no claim names")
    _check_reasons(proof)
    return blocks, keepers


def _check_reasons(proof: ProofView) -> None:
    for one in proof.claims:
        if (one.evidence is None) == (one.reason is None):
            raise RejectedError(f"the claim at {one.at} has either evidence or a reason")
    for rest in proof.bundles:
        if (rest.bundle is None) == (rest.reason is None):
            raise RejectedError(f"the bundle at {rest.at} is there, or a reason is")
