"""Tokens over HTTP: who is known, as whom, and what those see who are not."""

import asyncio
import base64
import hashlib
import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from regulator_api.access.callers import Client, Tokens
from regulator_api.access.keys import FixedKeys, parse_keys
from regulator_api.access.tokens import TokenRules
from tests.regulator_api.access.issuer import AUDIENCE, ISSUER, NOW_S, OTHER, claims, forged, key_set, token
from tests.regulator_api.api import Answer, Api, prepare, serving

LOCAL = (ipaddress.ip_network("127.0.0.0/8"),)
CERTIFICATE = b"a certificate in DER"
CLIENTS = {
    "analysts": Client(frozenset({"CH"}), frozenset({"read", "lists"})),
    "everywhere": Client(None),
}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_S + 1)


@pytest.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Api]:
    database = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(database)
    tokens = Tokens(TokenRules(ISSUER, AUDIENCE), FixedKeys(parse_keys(key_set())), CLIENTS, LOCAL)
    async with serving(database, [], clock, tokens) as made:
        yield made
    await database.close()


async def ask(api: Api, path: str, text: str, method: str = "GET", **arguments: Any) -> Answer:
    headers = {"Authorization": f"Bearer {text}", **arguments.pop("headers", {})}
    return await api.ask(path, None, method=method, headers=headers, **arguments)


async def test_token_opens_what_its_scopes_say_and_nothing_else(api: Api) -> None:
    assert (await ask(api, "/v1/tags", token())).status == 200
    refused = await ask(api, "/v1/audit", token(scope="read audit"))  # the operator gives this client no audit
    assert (refused.status, refused.body["scope"]) == (403, "audit")
    assert (await ask(api, "/v1/audit", token(scope="read audit", client_id="others"))).status == 200
    assert (await ask(api, "/v1/tags", token(scope=""))).status == 403


@pytest.mark.parametrize(
    "text",
    [
        forged({"alg": "none", "kid": "ed", "typ": "at+jwt"}, claims()),
        token(OTHER),
        token(kid="unknown"),
        token(aud="elsewhere"),
        token(iss="elsewhere"),
        token(exp=NOW_S - 100, iat=NOW_S - 200),
    ],
)
async def test_bad_token_is_refused_as_rfc_6750_says(api: Api, text: str) -> None:
    answer = await ask(api, "/v1/tags", text)
    assert (answer.status, answer.body["type"]) == (401, "urn:causeway:problem:unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert text.split(".")[1] not in answer.raw.decode()


@pytest.mark.parametrize("value", ["Bearer", "Bearer a b", "Basic abc", "Bearer \xe9", "", "Bearer " + "a" * 7_000])
async def test_malformed_authorization_is_refused(api: Api, value: str) -> None:
    assert (await api.ask("/v1/tags", None, headers={"Authorization": value})).status == 401


async def test_two_sets_of_credentials_are_refused(api: Api) -> None:
    answer = await ask(api, "/v1/tags", token(), headers={"X-API-Key": api.keys["overseer"]})
    assert answer.status == 401


async def test_a_stream_ends_with_its_token(api: Api, clock: ManualClock) -> None:
    """Tokens are short so that whoever loses their access loses it soon; a stream lasts for an hour."""
    async with asyncio.timeout(30), aiohttp.ClientSession(api.address) as session:
        short, long = [
            await session.get("/v1/stream/events", headers={"Authorization": f"Bearer {token(exp=exp)}"})
            for exp in (NOW_S + 600, NOW_S + 3_000)
        ]
        assert (short.status, long.status) == (200, 200)
        whole = asyncio.create_task(short.read())
        while not whole.done():
            await clock.advance(5)
            await asyncio.sleep(0.005)
        assert 600 + 30 <= clock.now() - NOW_S < 3_000
        assert not long.content.at_eof()
        short.close()
        long.close()


async def test_who_calls_is_in_the_log_by_client_and_person(api: Api) -> None:
    await ask(api, "/v1/tags", token())
    await ask(api, "/v1/tags", token(client_id="console", sub="ada"))
    entries = (await api.get("/v1/audit", "overseer"))["items"]
    assert [entry["who"] for entry in entries] == ["client:console ada", "client:analysts"]


async def test_bound_token_goes_with_the_proxys_certificate(api: Api) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(CERTIFICATE).digest()).rstrip(b"=").decode()
    bound = token(cnf={"x5t#S256": digest})
    shown = f":{base64.b64encode(CERTIFICATE).decode()}:"
    other = f":{base64.b64encode(b'another').decode()}:"
    assert (await ask(api, "/v1/tags", bound)).status == 401
    assert (await ask(api, "/v1/tags", bound, headers={"Client-Cert": other})).status == 401
    assert (await ask(api, "/v1/tags", bound, headers={"Client-Cert": shown[1:-1]})).status == 401
    assert (await ask(api, "/v1/tags", bound, headers={"Client-Cert": shown})).status == 200


ACCOUNTS = {code: f"eip155:1:0x{digit * 40}" for code, digit in (("CH", "a"), ("FR", "b"), ("DE", "c"))}


async def tag(api: Api, text: str, code: str) -> Answer:
    body = {
        "account": ACCOUNTS[code],
        "label": "a shop",
        "category": "exchange",
        "source": "tests",
        "confidence": 90,
        "valid_from_s": 1,
        "jurisdiction": code,
        "entity": f"shop-{code.lower()}",
    }
    return await ask(api, "/v1/tags", text, "POST", json=body)


async def test_rows_out_of_scope_do_not_exist_for_a_caller(api: Api) -> None:
    writer = token(scope="read lists", client_id="everywhere", jurisdictions="*")
    for code in ACCOUNTS:
        assert (await tag(api, writer, code)).status == 201
    seen = {
        name: {item["account"] for item in (await ask(api, "/v1/tags", text)).body["items"]}
        for name, text in {
            "both": token(client_id="others"),
            "least": token(),  # of CH and FR in the token, and CH of the operator
            "neither": token(client_id="others", jurisdictions=None),
            "operator": token(client_id="everywhere", jurisdictions=None),
        }.items()
    }
    assert seen["both"] == {ACCOUNTS["CH"], ACCOUNTS["FR"]}
    assert seen["least"] == {ACCOUNTS["CH"]}
    assert seen["neither"] == set()
    assert seen["operator"] == set(ACCOUNTS.values())
    hidden = await ask(api, "/v1/entities/shop-de", token())
    absent = await ask(api, "/v1/entities/shop-xx", token())
    assert (
        (hidden.status, hidden.body["detail"]) == (absent.status, absent.body["detail"]) == (404, absent.body["detail"])
    )
    changes = (await ask(api, "/v1/lists/3/changes", token())).body["items"]
    assert changes == []


async def test_cursor_of_one_scope_does_not_fit_another(api: Api) -> None:
    writer = token(scope="read lists", client_id="everywhere", jurisdictions="*")
    for code in ACCOUNTS:
        await tag(api, writer, code)
    cursor = (await ask(api, "/v1/tags?limit=1", writer)).body["next"]
    assert cursor is not None
    assert (await ask(api, f"/v1/tags?limit=1&cursor={cursor}", writer)).status == 200
    assert (await ask(api, f"/v1/tags?limit=1&cursor={cursor}", token())).status == 422
    changed = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    assert (await ask(api, f"/v1/tags?limit=1&cursor={changed}", writer)).status == 422


async def test_who_sees_a_part_states_nothing(api: Api) -> None:
    assert (await tag(api, token(scope="read lists"), "CH")).status == 422


@pytest.mark.parametrize(
    "query",
    [
        "account=eip155:1:0x12",
        "account=x",
        "category=A%20B",
        "category=x'%20OR%201=1--",
        "entity=" + "a" * 65,
        "at_s=-1",
        "version=7",
        "list=;drop",
        "limit=201",
        "unknown=1",
    ],
)
async def test_filter_that_cannot_match_is_refused(api: Api, query: str) -> None:
    assert (await ask(api, f"/v1/tags?{query}", token())).status in (404, 422)
