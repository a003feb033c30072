"""Conventions that every answer keeps: entity tags, signatures, idempotency keys, limits, purposes, refusals logged."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from core.model.errors import RejectedError, RetryableError
from core.runtime.clock import ManualClock
from core.runtime.database import Database, open_database
from regulator_api import audit
from regulator_api.audit import verify_audit
from regulator_api.signing import Signer, content_digest, verify_answer
from tests.regulator_api.api import Api, prepare, serving

SIGNER = Signer(b"\x05" * 32)
KEY = SIGNER.public_key
TAG = {
    "account": f"eip155:1:0x{'a' * 40}",
    "label": "a shop",
    "category": "exchange",
    "source": "tests",
    "confidence": 90,
    "valid_from_s": 1,
}
RECORDS = 25


@pytest.fixture
async def clock() -> ManualClock:
    return ManualClock(1_790_000_000)  # the library that verifies goes by the real time


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(made)
    yield made
    await made.close()


@pytest.fixture
async def api(database: Database, clock: ManualClock) -> AsyncIterator[Api]:
    async with serving(database, [], clock, signer=SIGNER, records_per_day=RECORDS) as made:
        yield made


async def test_answer_that_has_not_changed_is_304(api: Api) -> None:
    first = await api.ask("/v1/tags", "librarian")
    tag = first.headers["ETag"]
    assert tag.startswith('"')
    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = await api.ask("/v1/tags", "librarian", headers={"If-None-Match": given})
        assert (again.status, again.raw, again.headers["ETag"]) == (304, b"", tag)
    assert (await api.ask("/v1/tags", "librarian", headers={"If-None-Match": '"other"'})).status == 200
    await api.ask("/v1/tags", "librarian", method="POST", json=TAG)
    assert (await api.ask("/v1/tags", "librarian", headers={"If-None-Match": tag})).status == 200
    assert (await api.ask("/v1/tags?limit=7", "librarian")).headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize(
    ("path", "who"),
    [("/v1/tags?category=exchange&limit=3", "librarian"), ("/v1/tags?at_s=x", "librarian"), ("/v1/audit", "inspector")],
)
async def test_every_answer_is_signed_for_its_request(api: Api, path: str, who: str) -> None:
    answer = await api.ask(path, who)

    def check(**changes: Any) -> None:
        values: dict[str, Any] = {
            "method": "GET",
            "path_and_query": path,
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.raw,
            "public_key": KEY,
        }
        verify_answer(**values | changes)

    check()
    forged = dict(answer.headers)
    forged.pop("Signature")
    for change in (
        {"method": "POST"},
        {"path_and_query": "/v1/tags?category=mixer"},
        {"status": 200 if answer.status != 200 else 404},
        {"body": answer.raw.replace(b"e", b"3", 1)},
        {"public_key": Signer(b"\x06" * 32).public_key},
        {"headers": forged},
        {"headers": {**answer.headers, "Content-Digest": "sha-256=:AAAA:"}},
    ):
        with pytest.raises(RejectedError):
            check(**change)


@pytest.mark.parametrize("path", ["/", "/v1/tags", "/v1/tags?", "/v1/accounts/eip155:1%3A0xab?q=a%20b&c=/?", "/v1/a|b"])
@pytest.mark.parametrize("headers", [{}, {"ETag": '"ab"', "Causeway-Audit": "7:ab"}])
def test_signature_is_the_one_that_the_library_makes(path: str, headers: dict[str, str]) -> None:
    clock, request = ManualClock(1_790_000_000), make_mocked_request("GET", path)
    made: list[Any] = []
    for sign in (SIGNER.sign_answer, SIGNER._sign_with_library):
        response = web.Response(body=b"{}", content_type="application/json", headers=headers)
        response.headers["Content-Digest"] = content_digest(b"{}")
        try:
            sign(request, response, clock)
        except Exception as error:
            made.append(repr(error))
        else:
            made.append(dict(response.headers))
            verify_answer("GET", path, 200, response.headers, b"{}", KEY)
    assert made[0] == made[1]


async def test_public_key_is_shown_without_credentials(api: Api) -> None:
    [key] = (await api.ask("/v1/keys", None)).body["keys"]
    assert (key["kty"], key["kid"]) == ("OKP", SIGNER.key_id)


async def test_post_under_an_idempotency_key_happens_once(api: Api) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await api.ask("/v1/tags", "librarian", method="POST", json=TAG, headers=headers)
    again = await api.ask("/v1/tags", "librarian", method="POST", json=TAG, headers=headers)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"
    other = await api.ask("/v1/tags", "librarian", method="POST", json={**TAG, "confidence": 1}, headers=headers)
    assert (other.status, other.body["type"]) == (422, "urn:causeway:problem:idempotency-key-reused")
    assert len((await api.get("/v1/lists", "librarian"))["items"]) == 1


async def test_caller_takes_no_more_records_than_a_day_allows(api: Api, clock: ManualClock) -> None:
    for number in range(RECORDS):
        label = {**TAG, "label": f"shop {number}"}
        answer = await api.ask("/v1/tags", "librarian", method="POST", json=label)
        assert answer.status == 201, answer.body
    refused = await api.ask("/v1/tags", "librarian")
    assert (refused.status, refused.body["type"]) == (429, "urn:causeway:problem:record-limit")
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert (await api.ask("/v1/tags", "inspector")).status == 200  # each caller for itself
    assert (await api.ask("/v1/tags", "inspector")).status == 429  # that was 25 records
    await clock.advance(86_400)
    assert (await api.ask("/v1/tags", "librarian")).status == 200


async def test_answers_at_once_are_logged_each_with_its_place(api: Api, database: Database) -> None:
    paths = [f"/v1/tags?limit={number}" for number in range(1, 21)]
    answers = await asyncio.gather(*(api.ask(path, "librarian") for path in paths))
    places = [tuple(answer.headers["Causeway-Audit"].split(":")) for answer in answers]
    entries = {str(one["seq"]): one for one in (await api.get("/v1/audit?limit=50", "overseer"))["items"]}
    assert sorted(int(seq) for seq, _ in places) == list(range(1, 21))
    assert [entries[seq]["what"] for seq, _ in places] == paths
    assert [entries[seq]["hash"] for seq, _ in places] == [made for _, made in places]
    check = await database.read(lambda connection: verify_audit(connection, public_keys=[KEY]))
    assert (check.ok, check.unsigned) == (True, 0)


async def test_entry_that_fails_withholds_no_other_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    append = audit.append_all

    def refusing(connection: Any, accesses: Any, signer: Any) -> Any:
        if any("limit=7" in access.what for access in accesses):
            raise RetryableError("this entry cannot be written")
        return append(connection, accesses, signer)

    monkeypatch.setattr(audit, "append_all", refusing)
    answers = await asyncio.gather(*(api.ask(f"/v1/tags?limit={number}", "librarian") for number in range(1, 11)))
    assert [answer.status for answer in answers] == [503 if number == 7 else 200 for number in range(1, 11)]


async def test_refusals_and_writes_stand_in_the_log(api: Api) -> None:
    await api.ask("/v1/tags", "inspector", method="POST", json=TAG)  # it lacks the scope
    await api.ask("/v1/tags", "librarian", method="POST", json=TAG, headers={"X-Purpose": "why", "X-Case": "case 7"})
    await api.ask("/v1/tags?category=EXCHANGE", "librarian")
    await api.ask("/v1/tags", None)
    await api.ask("/v1/tags", None, headers={"X-API-Key": "made up"})
    entries = (await api.get("/v1/audit", "overseer"))["items"]
    assert [(one["who"], one["method"], one["status"], one["purpose"], one["case"]) for one in entries] == [
        ("librarian", "GET", 422, "", ""),
        ("librarian", "POST", 201, "why", "case 7"),
        ("inspector", "POST", 403, "", ""),
    ]
    assert all(one["signature"] for one in entries)
