"""The results of rules: observations of one move each, links between moves, and alerts that gather observations.

An observation is a function of the history up to its trigger alone, so that a block that comes late or a reorg is
answered by forgetting those from its time on and running again. Alerts are a view: observations of one rule and
subject belong to one alert if their anchors are equal, or, for rules about a span of time (anchor ""), if a span
begins before the span before it ended.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from regulator_api.rules.history import Place, Seen

MAX_MOVES: Final = 256
"""Moves that an observation names; of more the oldest half and the newest half."""
ALERT_PREFIX: Final = b"causeway alert v1\0"


class Reference(NamedTuple):
    """A move, named by its place and its account."""

    place: Place
    account: str


class Observation(NamedTuple):
    """A rule's condition held at the move `trigger`.

    `figures` are what was measured and the thresholds it passed, in the units that `docs/supervising/methods.md` gives
    for each rule, sorted by name. `since_s` is the time of the oldest move that counted, `others` further accounts that
    take part.
    """

    rule: str
    subject: str
    anchor: str
    trigger: Place
    since_s: int
    moves: tuple[Reference, ...]
    others: tuple[str, ...]
    figures: tuple[tuple[str, int], ...]


class Link(NamedTuple):
    """Value that came to `account` and left again: most of one move in, by one move out some days later at most.

    `before` and `after` are the passages of the two moves; `sender` and `to` the accounts at their far ends.
    `from_tags` and `to_tags`: the categories, at the time, of the counterparties of the two moves. `subject` names the
    account's subject.
    """

    after: str
    before: str
    arrived: Place
    left: Place
    subject: str
    account: str
    sender: str
    to: str
    value_in: int
    value_out: int
    from_tags: tuple[str, ...]
    to_tags: tuple[str, ...]


class Alert(NamedTuple):
    """Observations of one rule about one subject that belong together; `last` explains all of them."""

    alert_id: str
    rule: str
    subject: str
    anchor: str
    first: Place
    observations: int
    last: Observation


def shown(references: Iterable[Reference]) -> tuple[Reference, ...]:
    """Return at most `MAX_MOVES` of these, the oldest and the newest."""
    kept = tuple(references)
    half = MAX_MOVES // 2
    return kept if len(kept) <= MAX_MOVES else (*kept[:half], *kept[-half:])


def named(moves: Iterable[Seen]) -> tuple[Reference, ...]:
    """Return what an observation names of these moves: at most `MAX_MOVES`, the oldest and the newest."""
    return shown(Reference(Place(*move[:5]), move.account) for move in moves)


def alert_id(rule: str, subject: str, anchor: str, first: Place) -> str:
    """Return the alert's id: 32 hex digits of a SHA-256 over rule, subject, anchor and first trigger."""
    raw = msgspec.msgpack.encode([rule, subject, anchor, *first])
    return hashlib.sha256(ALERT_PREFIX + raw).hexdigest()[:32]


def extend(alert: Alert | None, seen: Observation) -> Alert:
    """Return `alert` with one more observation, or a new one if the observation belongs to another alert."""
    if alert is not None and alert.anchor == seen.anchor and (seen.anchor or seen.since_s <= alert.last.trigger.time_s):
        return alert._replace(observations=alert.observations + 1, last=seen)
    identifier = alert_id(seen.rule, seen.subject, seen.anchor, seen.trigger)
    return Alert(identifier, seen.rule, seen.subject, seen.anchor, seen.trigger, 1, seen)


def gather(observations: Iterable[Observation]) -> list[Alert]:
    """Return the alerts of these observations, which may come in any order, sorted by rule, subject and time."""
    open_alerts: dict[tuple[str, str, str], Alert] = {}
    done: list[Alert] = []
    for seen in sorted(observations, key=lambda one: (one.trigger, one.rule, one.subject, one.anchor)):
        key = (seen.rule, seen.subject, seen.anchor)
        had = open_alerts.get(key)
        now = extend(had, seen)
        if had is not None and now.alert_id != had.alert_id:
            done.append(had)
        open_alerts[key] = now
    done += open_alerts.values()
    return sorted(done, key=lambda one: (one.rule, one.subject, one.first, one.alert_id))


def observation_document(seen: Observation) -> dict[str, Any]:
    """Return an observation as JSON has it; `observation_of` reads it back."""
    return {
        "rule": seen.rule,
        "subject": seen.subject,
        "anchor": seen.anchor,
        "trigger": list(seen.trigger),
        "since_s": seen.since_s,
        "moves": [[*one.place, one.account] for one in seen.moves],
        "others": list(seen.others),
        "figures": dict(seen.figures),
    }


def observation_of(document: Mapping[str, Any]) -> Observation:
    """Read what `observation_document` made. Raise `LookupError`, `TypeError` or `ValueError` for anything else."""
    return Observation(
        rule=str(document["rule"]),
        subject=str(document["subject"]),
        anchor=str(document["anchor"]),
        trigger=Place(*document["trigger"]),
        since_s=int(document["since_s"]),
        moves=tuple(Reference(Place(*one[:5]), one[5]) for one in document["moves"]),
        others=tuple(document["others"]),
        figures=tuple(sorted((str(name), int(value)) for name, value in document["figures"].items())),
    )


def encode_alerts(alerts: Iterable[Alert]) -> bytes:
    """Return alerts as canonical JSON: the same alerts give the same bytes, whatever engine found them."""
    documents = [
        {"id": one.alert_id, "first": list(one.first), "observations": one.observations}
        | observation_document(one.last)
        for one in alerts
    ]
    return msgspec.json.encode(documents, order="sorted")


def digest(alerts: Iterable[Alert]) -> str:
    """Return the SHA-256 of `encode_alerts`, in hex."""
    return hashlib.sha256(encode_alerts(alerts)).hexdigest()
