"""Alerts, rules and cases over HTTP, on traffic whose cases are known."""

import threading
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy.engine import Connection

from bench.traffic import Plan, generate
from core.model.errors import RejectedError
from core.runtime.clock import ManualClock
from core.runtime.database import Database, InlineDatabase
from indexer.projections import report_agreement
from regulator_api import bundles
from regulator_api.knowledge.store import state_own
from regulator_api.knowledge.tags import parsed_statement
from regulator_api.rules import bundles as alert_bundles
from regulator_api.rules import cases, dry_run
from regulator_api.rules.catalogue import TYPOLOGIES
from regulator_api.rules.engine import RulesEngine
from regulator_api.rules.history import Seen
from regulator_api.rules.observation import Observation
from regulator_api.rules.reading import Reader
from regulator_api.rules.running import run_paths
from regulator_api.rules.versions import store_rates
from tests.regulator_api.api import Answer, Api, prepare, serving
from tests.regulator_api.rules.feeding import Feed, agreements_of, events_of, labels_of, rates_of_traffic
from tests.regulator_api.rules.test_engine import _state

TRAFFIC = generate(Plan(seed=11, transfers=700, cases=1))
STRUCTURING = f"structuring-{TYPOLOGIES['structuring'].version}"
"""The rule that comes with Causeway."""


async def _filled(database: Database) -> RulesEngine:
    await prepare(database)
    feed = await database.write(Feed)
    await database.write(lambda connection: store_rates(connection, list(rates_of_traffic())))
    await database.write(partial(_state, labels_of(TRAFFIC)))

    def work(connection: Connection) -> None:
        feed.connection = connection
        for report in agreements_of(TRAFFIC):
            report_agreement(connection, report, 1)
        for chain, made in events_of(TRAFFIC).items():
            feed.push(chain, made)

    await database.write(work)
    engine = RulesEngine(database, ManualClock())
    await engine.step()
    return engine


_FILLED: list[InlineDatabase] = []


@pytest.fixture
async def filled() -> AsyncIterator[tuple[InlineDatabase, Api]]:
    if not _FILLED:
        first = InlineDatabase()
        await _filled(first)
        _FILLED.append(first)
    database = _FILLED[0].copy()
    async with serving(database, (), ManualClock()) as api:
        yield database, api
    await database.close()


async def post(api: Api, path: str, who: str, **body: Any) -> Answer:
    return await api.ask(path, who, method="POST", json=body)


async def test_alerts_of_all_typologies_explain_themselves(filled: tuple[Database, Api]) -> None:
    _, api = filled
    listed, cursor = [], ""
    while cursor is not None:
        page = await api.get(f"/v1/alerts?limit=7{cursor and f'&cursor={cursor}'}")
        listed += page["items"]
        cursor = page["next"]
    assert {one["typology"] for one in listed} == set(TYPOLOGIES)
    assert len({one["id"] for one in listed}) == len(listed)
    assert [one["last"]["time_s"] for one in listed] == sorted((one["last"]["time_s"] for one in listed), reverse=True)
    for one in listed:
        assert one["explanation"]
        assert "{" not in one["explanation"]
        assert one["moves"]
        assert await api.get(f"/v1/alerts/{one['id']}") | {"as_of": 0, "rules": 0} == {
            "alert": one,
            "as_of": 0,
            "rules": 0,
        }
    one = next(one for one in listed if one["typology"] == "structuring")
    same = await api.get(f"/v1/alerts?typology=structuring&subject={one['subject']}")
    assert [found["id"] for found in same["items"]] == [one["id"]]
    changed = await api.get("/v1/alerts?after_change=0&limit=200")
    # A stream of changes has alerts that were withdrawn, too: the chains were read one after another.
    standing = {found["id"] for found in changed["items"] if not found["withdrawn"]}
    assert standing == {found["id"] for found in listed}
    some = await api.get(f"/v1/alerts?after_change=0&typology=structuring&subject={one['subject']}")
    assert {found["id"] for found in some["items"] if not found["withdrawn"]} == {one["id"]}
    assert {found["typology"] for found in some["items"]} == {"structuring"}
    assert (await api.get(f"/v1/alerts?after_change={changed['rules']['changed']}"))["items"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("typology=smurfing", 422),
        ("subject=eip155:5:0x" + "1" * 40, 422),
        ("subject=eip155:1:0x123", 422),
        ("subject=nobody", 422),
        ("rule=structuring-9", 404),
        ("limit=0", 422),
        ("cursor=abc", 422),
        ("since_s=-1", 422),
    ],
)
async def test_filter_that_cannot_match_is_refused(filled: tuple[Database, Api], query: str, status: int) -> None:
    answer = await filled[1].ask(f"/v1/alerts?{query}")
    assert answer.status in (status, 400)


async def test_bundle_of_every_alert_is_run_again_and_no_other(filled: tuple[Database, Api]) -> None:
    _, api = filled
    found = (await api.get("/v1/alerts?limit=200"))["items"]
    for one in found:
        answer = await api.ask(f"/v1/alerts/{one['id']}/bundle", "analyst")
        assert answer.status == 200, answer.body
        assert len(answer.raw) < 1_000_000
        verified = bundles.verify(answer.raw)
        assert one["subject"] in verified.shows
        for place in ("value", "figures", "parameters"):
            with pytest.raises(RejectedError):
                bundles.verify(_tampered(answer.raw, place))
    assert (await api.ask(f"/v1/alerts/{found[0]['id']}/bundle")).status == 403


def _tampered(raw: bytes, place: str) -> bytes:
    """A bundle with one thing changed, and its digest made to fit."""
    document = msgspec.json.decode(raw)
    if place == "value":
        for history in document["histories"]:
            for move in history["moves"]:
                move[8], move[9] = "7", move[9] // 7 + 3
                move[13], move[14] = [], []
    elif place == "figures":
        figures = document["alert"]["last"]["figures"]
        figures[next(iter(figures))] += 1
    else:
        document["alert"]["last"]["rule"] = document["rule"]["id"] = "another-1"
    body = {name: value for name, value in document.items() if name not in ("digest", "kind", "version")}
    return bundles.seal("alert", body)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"{}", b"null", b"[" * 100_000, b'{"version":1,"kind":"alert"}', b'{"version":1,"kind":["alert"]}',
        b'{"version":1,"kind":"alert","digest":3}', b"\xff\xfe", b" " * (1 << 21),
    ],
)  # fmt: skip
def test_what_is_not_a_bundle_is_refused(raw: bytes) -> None:
    with pytest.raises(RejectedError):
        bundles.verify(raw)


@pytest.mark.parametrize("member", ["rule", "alert", "histories", "names", "label_version", "rates_sha256"])
def test_bundle_with_a_malformed_member_is_refused(member: str) -> None:
    form: dict[str, Any] = {
        "rule": {
            "id": "r", "typology": "structuring", "version": 1, "parameters": {}, "jurisdiction": None, "from_s": 0,
            "to_s": 5,
        },
        "alert": {"id": "0" * 32, "first": [0, "a", 0, 0, 0], "observations": 1, "last": {}},
        "histories": [],
        "names": {},
        "label_version": 0,
        "rates_sha256": "",
    }  # fmt: skip
    wrongs: tuple[Any, ...] = (None, 5, "x", [[]], {"a": []}, -2)
    for wrong in wrongs:
        with pytest.raises(RejectedError):
            bundles.verify(bundles.seal("alert", form | {member: wrong}))


async def test_bundle_with_a_short_move_is_refused(filled: tuple[Database, Api]) -> None:
    _, api = filled
    found = (await api.ask("/v1/alerts", "analyst")).body["items"]
    document = msgspec.json.decode((await api.ask(f"/v1/alerts/{found[0]['id']}/bundle", "analyst")).raw)
    del document["alert"]["last"]["moves"][0][5:]
    body = {name: value for name, value in document.items() if name not in ("digest", "kind", "version")}
    with pytest.raises(RejectedError, match="not in its form"):
        bundles.verify(bundles.seal("alert", body))


async def test_rule_takes_a_second_person_to_be_in_force(filled: tuple[Database, Api]) -> None:
    database, api = filled
    made = await post(
        api, "/v1/rules", "analyst", typology="structuring", parameters={"threshold": 50_000}, reason="a new threshold"
    )
    assert (made.status, made.body["state"], made.body["parameters"]["min_count"]) == (201, "draft", 3)
    rule = made.body["id"]
    tried = await post(api, f"/v1/rules/{rule}/dry-run", "analyst")
    assert tried.status == 200, tried.body
    assert tried.body["complete"]
    assert tried.body["in_force"] >= 1
    assert tried.body["only_in_force"] >= 1
    assert (await post(api, f"/v1/rules/{rule}/activate", "analyst")).status == 422
    assert (await post(api, f"/v1/rules/{rule}/activate", "swiss-analyst")).status == 422
    assert (await post(api, f"/v1/rules/{rule}/activate", "inspector")).status == 403
    done = await post(api, f"/v1/rules/{rule}/activate", "chief")
    assert (done.status, done.body["state"], done.body["decided_by"]) == (200, "active", "chief")
    assert done.body["from_s"] > ManualClock().now()
    before = await api.get(f"/v1/rules/{STRUCTURING}")
    assert (before["state"], before["to_s"]) == ("retired", done.body["from_s"])
    assert (await post(api, f"/v1/rules/{rule}/activate", "chief")).status == 409
    # What was said under the former rule stays: it was in force then.
    said = await api.get("/v1/alerts?typology=structuring")
    await RulesEngine(database, ManualClock()).step()
    assert (await api.get("/v1/alerts?typology=structuring"))["items"] == said["items"]


async def test_dry_run_reads_no_subject_with_too_many_moves(
    filled: tuple[Database, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, api = filled
    whole = await post(api, f"/v1/rules/{STRUCTURING}/dry-run", "analyst")
    read: list[int] = []
    threads: list[int] = []

    def judge(*asked: Any) -> list[Observation]:
        threads.append(threading.get_ident())
        return run_paths(*asked)

    class Counting(Reader):
        def load(self, *asked: Any, **named: Any) -> dict[str, list[Seen]]:
            found = super().load(*asked, **named)
            read.extend(map(len, found.values()))
            return found

    monkeypatch.setattr(dry_run, "MAX_MOVES_OF_SUBJECT", 20)
    monkeypatch.setattr(dry_run, "Reader", Counting)
    monkeypatch.setattr(dry_run, "run_paths", judge)
    part = await post(api, f"/v1/rules/{STRUCTURING}/dry-run", "analyst")
    assert (whole.body["complete"], part.body["complete"]) == (True, False)
    assert max(read) <= 20
    assert (part.body["subjects"], part.body["moves"]) == (len(read), sum(read))
    assert 0 < part.body["subjects"] < whole.body["subjects"]
    # The server's own thread answers others meanwhile.
    assert threading.get_ident() not in threads
    assert len(threads) == 2


async def test_bundle_of_too_many_moves_is_refused_unread(
    filled: tuple[Database, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, api = filled
    (alert, *_) = (await api.get("/v1/alerts?typology=structuring"))["items"]
    assert (await api.ask(f"/v1/alerts/{alert['id']}/bundle", "analyst")).status == 200
    monkeypatch.setattr(alert_bundles, "MAX_READ", 2)
    monkeypatch.setattr(Reader, "load", None)
    refused = await api.ask(f"/v1/alerts/{alert['id']}/bundle", "analyst")
    assert refused.status == 422
    assert "2 at most" in refused.body["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"typology": "structuring", "parameters": {"threshold": -1}, "reason": "x"},
        {"typology": "structuring", "parameters": {"nearly": 1}, "reason": "x"},
        {"typology": "structuring", "parameters": {}, "reason": ""},
        {"typology": "smurfing", "parameters": {}, "reason": "x"},
        {"typology": "structuring", "from_s": 10, "to_s": 10, "reason": "x"},
        {"typology": "structuring", "jurisdiction": "ch", "reason": "x"},
    ],
)
async def test_rule_that_makes_no_sense_is_refused(filled: tuple[Database, Api], body: dict[str, Any]) -> None:
    assert (await post(filled[1], "/v1/rules", "analyst", **body)).status in (400, 422)


@pytest.mark.parametrize(
    ("limit", "value", "said"), [("MAX_ENTRIES", 103, "at most 3"), ("MAX_CASE_BYTES", 200, "200 bytes together")]
)
async def test_full_case_takes_no_more_but_can_be_closed(
    filled: tuple[Database, Api], monkeypatch: pytest.MonkeyPatch, limit: str, value: int, said: str
) -> None:
    _, api = filled
    monkeypatch.setattr(cases, limit, value)
    case = (await post(api, "/v1/cases", "analyst", title="A long one")).body["id"]
    note = "n" * 60
    for status in (200, 200, 422):
        answer = await post(api, f"/v1/cases/{case}/notes", "analyst", text=note)
        assert answer.status == status, answer.body
    assert said in answer.body["detail"]
    for who in ("analyst", "chief"):
        closed = await post(api, f"/v1/cases/{case}/close", who, outcome="unfounded", reason="nothing in it")
        assert closed.status == 200, closed.body
    assert (closed.body["status"], closed.body["entries"]) == ("closed", 5)


async def test_case_is_closed_by_two_people(filled: tuple[Database, Api]) -> None:
    _, api = filled
    alert = (await api.get("/v1/alerts?typology=round_trip"))["items"][0]["id"]
    opened = await post(api, "/v1/cases", "analyst", title="A sum that came back", alerts=[alert])
    assert (opened.status, opened.body["status"], opened.body["alerts"]) == (201, "open", [alert])
    case = opened.body["id"]
    assert (await post(api, "/v1/cases", "analyst", title="Again", alerts=[alert])).status == 409
    assert (await post(api, f"/v1/cases/{case}/notes", "chief", text="Who is this?")).body["entries"] == 3
    await post(api, f"/v1/cases/{case}/assign", "chief", assignee="analyst")
    await post(api, f"/v1/cases/{case}/attach", "analyst", name="letter", document={"said": "nothing"})
    assert (await post(api, f"/v1/cases/{case}/attach", "analyst", name="letter")).status == 422
    first = await post(api, f"/v1/cases/{case}/close", "analyst", outcome="reported", reason="It was reported.")
    assert first.body["status"] == "closing"
    assert (await post(api, f"/v1/cases/{case}/close", "analyst", outcome="reported", reason="Yes.")).status == 422
    assert (await post(api, f"/v1/cases/{case}/close", "chief", outcome="unfounded", reason="No.")).status == 409
    second = await post(api, f"/v1/cases/{case}/close", "chief", outcome="reported", reason="I agree.")
    assert (second.body["status"], second.body["closed_by"]) == ("closed", "chief")
    assert (await post(api, f"/v1/cases/{case}/notes", "chief", text="Late")).status == 409
    answer = await api.ask(f"/v1/cases/{case}/export", "analyst")
    assert "attachment" in answer.headers["Content-Disposition"]
    kinds = [one["kind"] for one in answer.body["entries"]]
    assert kinds == ["opened", "alert", "note", "assigned", "evidence", "closing", "closed"]
    bundle = answer.body["entries"][1]["body"]["bundle"]
    assert bundles.verify(msgspec.json.encode(bundle, order="sorted")).kind == "alert"
    assert (await api.get(f"/v1/alerts/{alert}"))["alert"]["case_id"] == case
    again = await post(api, f"/v1/cases/{case}/reopen", "chief", reason="More came to light.")
    assert (again.body["status"], again.body["outcome"]) == ("open", None)
    assert [one["id"] for one in (await api.get("/v1/cases?status=open", "chief"))["items"]] == [case]


async def test_changed_entry_of_a_case_is_noticed(filled: tuple[Database, Api]) -> None:
    database, api = filled
    case = (await post(api, "/v1/cases", "analyst", title="A case")).body["id"]
    await post(api, f"/v1/cases/{case}/notes", "analyst", text="true")
    await database.write(
        lambda c: c.exec_driver_sql(
            "UPDATE regulator_case_entries SET body = ? WHERE number = 2", (b'{"text":"false"}',)
        )
    )
    answer = await api.ask(f"/v1/cases/{case}", "analyst")
    assert answer.status == 422
    assert "was changed" in answer.body["detail"]


async def test_alerts_and_cases_of_others_are_not_there(filled: tuple[Database, Api]) -> None:
    database, api = filled
    every = (await api.get("/v1/alerts?limit=200"))["items"]
    ours = next(one for one in every if one["typology"] == "pass_through")
    theirs = next(one for one in every if one["subject"] != ours["subject"])
    assert (await api.get("/v1/alerts", "swiss"))["items"] == []
    statement = parsed_statement(
        subject=ours["subject"], label="Ours", category="person", source="test", confidence=90, valid_from_s=0,
        jurisdiction="CH",
    )  # fmt: skip
    await database.write(lambda c: state_own(c, statement, sha256=bytes(32), who="test", now_ns=2))
    await RulesEngine(database, ManualClock()).step()
    seen = (await api.get("/v1/alerts", "swiss"))["items"]
    assert {one["subject"] for one in seen} == {ours["subject"]}
    assert ours["id"] in {one["id"] for one in seen}
    assert (await api.ask(f"/v1/alerts/{theirs['id']}", "swiss")).status == 404
    # A case in no jurisdiction, or another one, is not there either.
    case = (await post(api, "/v1/cases", "analyst", title="Not theirs")).body["id"]
    assert (await api.ask(f"/v1/cases/{case}", "swiss-analyst")).status == 404
    assert (await api.get("/v1/cases", "swiss-analyst"))["items"] == []
    assert (await post(api, "/v1/cases", "swiss-analyst", title="No jurisdiction")).status == 422
    own = await post(api, "/v1/cases", "swiss-analyst", title="Ours", jurisdiction="CH", alerts=[ours["id"]])
    assert own.status == 201
    stolen = await post(api, f"/v1/cases/{own.body['id']}/attach", "swiss-analyst", alert=theirs["id"])
    assert stolen.status == 404


async def test_rates_are_shown_with_their_sources(filled: tuple[Database, Api]) -> None:
    _, api = filled
    page = await api.get("/v1/rates")
    assert [one["asset"] for one in page["items"]] == sorted(one["asset"] for one in page["items"])
    assert all(one["source"] == "test" for one in page["items"])
    first = await api.get("/v1/rates?limit=1")
    following = await api.get(f"/v1/rates?limit=200&cursor={first['next']}")
    assert first["items"] + following["items"] == page["items"]
    assert following["next"] is None
    one = await api.get("/v1/rates?asset=eip155%3A1%2Fslip44%3A60")
    assert [rate["asset"] for rate in one["items"]] == ["eip155:1/slip44:60"]
    assert (await api.ask("/v1/rates?asset=eip155%3A1%2Fslip44%3A61")).status == 404
