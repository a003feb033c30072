"""An alert's bundle: the moves of its subjects, as far as its rule reads them, and what runs the rule on them again.

Everything a rule reads is in it: moves with their values and labels, parameters, and the names of entities. `check` is
pure and bounded by the bundle's size.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy.engine import Connection

from core.model.errors import RejectedError
from regulator_api.rules import store
from regulator_api.rules.catalogue import Rule, RuleSet, make_rule
from regulator_api.rules.history import Place, Seen, Subject
from regulator_api.rules.observation import Alert, Link, Observation, alert_id, observation_document, observation_of
from regulator_api.rules.paths import MAX_PATH, path_to
from regulator_api.rules.reading import Knowledge, Reader
from regulator_api.rules.running import LINKS_HISTORY_S, SubjectRun, judge_path

KIND: Final = "alert"
MAX_MOVES: Final = 4_000
MAX_READ: Final = 50_000
"""Moves that are read for one subject of a bundle, with those between its own accounts."""
_Text = Annotated[str, msgspec.Meta(max_length=320)]
_Int = Annotated[int, msgspec.Meta(ge=-1, le=2**63 - 1)]
_Tags = Annotated[tuple[_Text, ...], msgspec.Meta(max_length=64)]
_PlaceForm = tuple[_Int, _Text, _Int, _Int, _Int]
_MoveForm = tuple[_Int, _Text, _Int, _Int, _Int, _Text, _Text, _Text, _Text, _Int, _Int, _Text, _Text, _Tags, _Tags]


class _History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A subject's moves. `before_s`: the time of the last move before them."""

    subject: _Text
    jurisdiction: _Text | None
    complete_since_s: _Int
    before_s: _Int | None
    moves: Annotated[tuple[_MoveForm, ...], msgspec.Meta(max_length=MAX_MOVES)]


class _RuleForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: _Text
    typology: _Text
    version: _Int
    parameters: dict[str, Any]
    jurisdiction: _Text | None
    from_s: _Int
    to_s: _Int


class _AlertForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: _Text
    first: _PlaceForm
    observations: _Int
    last: dict[str, Any]


class _Bundle(msgspec.Struct, frozen=True):
    rule: _RuleForm
    alert: _AlertForm
    histories: Annotated[tuple[_History, ...], msgspec.Meta(max_length=MAX_PATH)]
    names: dict[_Text, _Text]
    label_version: _Int
    rates_sha256: _Text


def make(connection: Connection, knowledge: Knowledge, alert: Alert) -> dict[str, Any]:
    """Return the bundle of an alert, for `regulator_api.bundles.seal`.

    Raise `RejectedError` if its history is too long, or if the rule does not say the same any more: the labels, rates
    or blocks have changed since and the rules have not read that yet.
    """
    rule = next((one for one in knowledge.rules.rules if one.rule_id == alert.rule), None)
    if rule is None:
        raise RejectedError(f"the rule {alert.rule} is not known any more")
    reader = Reader()
    reader.prepare(connection)
    if rule.typology.judge is None:
        wanted = [(alert.subject, alert.last.trigger, rule.typology.parameters.history_s)]
    else:
        wanted = [(link.subject, link.left, LINKS_HISTORY_S) for link in _path_of(connection, alert.last)]
    histories = [_history(connection, knowledge, reader, *one) for one in wanted]
    accounts = {text for history in histories for move in history["moves"] for text in (move[5], move[6]) if text}
    names = {account: name for account in sorted(accounts) if (name := knowledge.name_of(account)) != account}
    return {
        "rule": _rule_document(rule),
        "alert": {
            "id": alert.alert_id,
            "first": list(alert.first),
            "observations": alert.observations,
            "last": observation_document(alert.last),
        },
        "histories": histories,
        "names": names,
        "label_version": knowledge.labels.version,
        "rates_sha256": knowledge.rates.digest,
    }


def _path_of(connection: Connection, seen: Observation) -> list[Link]:
    """Return the links of the path that an observation is about."""
    last = store.link_of(connection, seen)
    if last is None:
        raise RejectedError("the path of this alert is not there any more: a newer run has other links")
    return path_to(last, lambda passage: next(iter(store.links_by(connection, [passage], after=True)), None))


def _history(
    connection: Connection, knowledge: Knowledge, reader: Reader, name: str, until: Place, history_s: int
) -> dict[str, Any]:
    since_s = until.time_s - history_s
    if (count := reader.count(connection, knowledge, [name], since_s, until.time_s)[name]) > MAX_READ:
        raise RejectedError(f"{name} has {count} moves in the rule's span, a bundle is made from {MAX_READ} at most")
    found = reader.load(connection, knowledge, [name], since_s, until_s=until.time_s)[name]
    moves = [one for one in found if one[:5] <= until]
    if len(moves) > MAX_MOVES:
        raise RejectedError(f"{name} has {len(moves)} moves in the rule's span, a bundle holds {MAX_MOVES}")
    subject = knowledge.subject(name)
    return {
        "subject": name,
        "jurisdiction": subject.jurisdiction,
        "complete_since_s": subject.complete_since_s,
        "before_s": reader.last_before(connection, knowledge, [name], since_s).get(name),
        "moves": [_move_document(one) for one in moves],
    }


def _move_document(m: Seen) -> list[Any]:
    return [*m[:8], str(m.amount), *m[9:13], sorted(m.own), sorted(m.tags)]


def _move_of(form: Sequence[Any]) -> Seen:
    if not form[8].isascii() or not form[8].isdigit() or len(form[8]) > 78:
        raise RejectedError("an amount in the bundle is not a decimal number")
    time_s, chain, height, index, direction, account, other, asset, amount, value, kind, passage, via, own, tags = form
    place = (time_s, chain, height, index, direction)
    return Seen(*place, account, other, asset, int(amount), value, kind, passage, via, frozenset(own), frozenset(tags))


def _rule_document(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.rule_id,
        "typology": rule.typology.name,
        "version": rule.typology.version,
        "parameters": msgspec.to_builtins(rule.parameters),
        "jurisdiction": rule.jurisdiction,
        "from_s": rule.from_s,
        "to_s": rule.to_s,
    }


def check(document: Mapping[str, Any]) -> str:
    """Run the rule again over the bundle's moves. Raise `RejectedError` if the alert is not what it says."""
    try:
        bundle = msgspec.convert(document, _Bundle)
        said = observation_of(bundle.alert.last)
    except (msgspec.ValidationError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise RejectedError(f"the bundle is not in its form: {error}") from None
    rule = make_rule(
        bundle.rule.id, bundle.rule.typology, bundle.rule.parameters, bundle.rule.jurisdiction, bundle.rule.from_s,
        bundle.rule.to_s,
    )  # fmt: skip
    if rule.typology.version != bundle.rule.version:
        raise RejectedError(
            f"the alert is by version {bundle.rule.version} of {rule.typology.name}, this Causeway has version "
            f"{rule.typology.version}: take the release that raised it"
        )
    if sum(len(history.moves) for history in bundle.histories) > MAX_MOVES:
        raise RejectedError(f"the bundle has more than {MAX_MOVES} moves")
    if said.rule != rule.rule_id or alert_id(said.rule, said.subject, said.anchor, Place(*bundle.alert.first)) != (
        bundle.alert.id
    ):
        raise RejectedError("the alert's id is not that of its rule, subject, anchor and first trigger")
    if said not in _again(bundle, rule):
        raise RejectedError(f"the rule {rule.rule_id} does not say this about the moves in the bundle")
    moves = sum(len(history.moves) for history in bundle.histories)
    return f"{rule.rule_id} says it again about {said.subject}, from {moves} moves"


def _again(bundle: _Bundle, rule: Rule) -> list[Observation]:
    rules = RuleSet([rule])
    observations: list[Observation] = []
    links: dict[str, Link] = {}
    jurisdictions: dict[str, str | None] = {}
    for history in bundle.histories:
        subject = Subject(history.subject, history.jurisdiction, history.complete_since_s)
        jurisdictions[history.subject] = history.jurisdiction
        run = SubjectRun(subject, rules, history.before_s)
        moves = [_move_of(one) for one in history.moves]
        if any(later[:5] <= earlier[:5] for earlier, later in pairwise(moves)):
            raise RejectedError("the bundle's moves are not in order")
        for move in moves:
            run.step(move)
        seen, made = run.take()
        observations += seen
        links.update((link.after, link) for link in made)
    if rule.typology.judge is None:
        return observations
    return [
        one
        for link in links.values()
        for one in judge_path(
            link, links.get, rules, lambda account: bundle.names.get(account, account), jurisdictions.get
        )
    ]
