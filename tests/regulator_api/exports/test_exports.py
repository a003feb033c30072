"""Exports: files in three formats that hold the same rows, of one moment, for the caller who asked."""

import asyncio
import csv
import hashlib
import io
import sys
from typing import Any

import msgspec
import pytest
from pyarrow import parquet

from core.runtime.clock import NS_PER_S
from regulator_api.exports import store
from regulator_api.exports.formats import writer_of
from regulator_api.exports.routes import STALE_S, Exports
from tests.indexer.world import GOLD, PURSE, A, B, World
from tests.regulator_api.api import Answer, Api
from tests.regulator_api.test_api import claimed_swap
from tests.regulator_api.test_bad_input import is_problem
from tests.support import eventually


async def made(api: Api, who: str = "inspector", **body: Any) -> Answer:
    return await api.ask("/v1/exports", who, method="POST", json={"as_of": "latest", **body})


async def file_of(api: Api, **body: Any) -> bytes:
    """Wait for the export, and return its file, whose hash is as the export says."""
    begun = await made(api, **body)
    assert begun.status == 202, begun.body
    path = begun.headers["Location"]

    async def done() -> bool:
        return bool((await api.get(path))["state"] != "running")

    await eventually(done)
    ended = await api.get(path)
    assert ended["state"] == "done", ended
    answer = await api.ask(f"{path}/file")
    assert answer.status == 200
    assert hashlib.sha256(answer.raw).hexdigest() == ended["sha256"]
    assert len(answer.raw) == ended["bytes"]
    return answer.raw


async def test_three_formats_hold_the_same_rows(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    raw = {form: await file_of(api, what="transfers", format=form) for form in ("csv", "jsonl", "parquet")}
    as_csv = list(csv.DictReader(io.StringIO(raw["csv"].decode(), newline="")))
    as_json = [msgspec.json.decode(line) for line in raw["jsonl"].splitlines()]
    as_parquet = parquet.read_table(io.BytesIO(raw["parquet"])).to_pylist()
    assert as_json == as_parquet
    assert [{name: "" if one is None else str(one) for name, one in row.items()} for row in as_json] == as_csv
    assert sorted(row["amount"] for row in as_json) == [str(PURSE)] * 2
    assert {row["receiver"] for row in as_json} == {deal.initiator.sender, deal.participant.sender}


async def test_swaps_are_exported_with_both_legs(world: World, api: Api) -> None:
    deal = await claimed_swap(world, api)
    (row,) = map(msgspec.json.decode, (await file_of(api, what="swaps", format="jsonl")).splitlines())
    assert (row["id"], row["status"], row["participant_asset"]) == ("swap-1", "claimed", GOLD)
    assert (row["initiator_amount"], row["initiator_chain"]) == (str(deal.initiator.amount), A)


async def test_an_export_is_of_one_moment_and_filtered(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    early = await file_of(api, what="transfers", format="csv", as_of=f"{A}@1,{B}@0")
    assert len(early.splitlines()) == 2
    only = await file_of(api, what="transfers", format="csv", asset=GOLD)
    assert len(only.splitlines()) == 2
    none = await file_of(api, what="transfers", format="csv", until_s=1)
    assert none.startswith(b"time_s,chain,")


async def test_an_export_is_its_callers_alone(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    begun = await made(api, what="transfers", format="csv")
    path = begun.headers["Location"]
    assert is_problem(await api.ask(path, "swiss"), 404, "not-found")
    assert is_problem(await api.ask(f"{path}/file", "swiss"), 404, "not-found")
    # Who sees some jurisdictions exports their rows.
    mine = (await made(api, "swiss", what="transfers", format="jsonl")).headers["Location"]

    async def done() -> bool:
        return bool((await api.get(mine, "swiss"))["state"] == "done")

    await eventually(done)
    assert (await api.get(mine, "swiss"))["rows"] == 0


async def test_an_export_whose_process_ended_is_made_again(world: World, api: Api) -> None:
    await claimed_swap(world, api)
    begun = await made(api, what="transfers", format="csv")
    path, name = begun.headers["Location"], begun.body["id"]

    async def done() -> bool:
        return bool((await api.get(path))["state"] == "done")

    await eventually(done)

    def interrupt(connection: Any) -> None:
        half = store.exports.update().where(store.exports.c.id == name)
        connection.execute(half.values(state=store.RUNNING, sha256="", seen_ns=0))

    await world.database.write(interrupt)
    await world.clock.advance(STALE_S + 1)
    assert world.clock.now_ns() > STALE_S * NS_PER_S
    await eventually(done)
    assert len((await api.ask(f"{path}/file")).raw.splitlines()) == 3


async def test_an_export_that_waits_is_made_once(world: World, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    turn, page = asyncio.Event(), Exports._page

    async def later(exports: Exports, job: Any, key: Any) -> Any:
        await turn.wait()
        return await page(exports, job, key)

    monkeypatch.setattr(Exports, "_page", later)
    monkeypatch.setattr("regulator_api.exports.routes.PAGE", 1)
    path = (await made(api, what="transfers", format="csv")).headers["Location"]
    for _ in range(2):
        await world.clock.advance(STALE_S + 1)
        assert (await api.get(path))["state"] == "running"
    turn.set()

    async def ended() -> bool:
        return bool((await api.get(path))["state"] != "running")

    await eventually(ended)
    found = await api.get(path)
    assert (found["state"], found["rows"], found["detail"]) == ("done", 2, "")
    assert hashlib.sha256((await api.ask(f"{path}/file")).raw).hexdigest() == found["sha256"]


async def test_what_was_taken_over_is_written_by_the_new_one_alone(world: World, api: Api) -> None:
    """A process that was only slow must not put its parts among those of the process that began again."""
    begun = await made(api, what="transfers", format="csv")
    name = begun.body["id"]

    def work(connection: Any) -> tuple[list[bool], bytes]:
        connection.execute(store.parts.delete())
        here = store.exports.update().where(store.exports.c.id == name)
        connection.execute(here.values(state=store.RUNNING, seen_ns=1))
        wrote = [
            store.add(connection, name, 1, 0, b"old,", seen_ns=2),
            store.take_over(connection, name, 3, 9),
            store.add(connection, name, 2, 1, b"late,", state=store.DONE, seen_ns=4),
            store.add(connection, name, 9, 0, b"new,", seen_ns=10),
            store.add(connection, name, 2, 1, b"", state=store.FAILED, seen_ns=11),
            store.add(connection, name, 10, 1, b"whole", state=store.DONE, seen_ns=12),
        ]
        return wrote, store.content(connection, name)

    async def done() -> bool:
        return bool((await api.get(begun.headers["Location"]))["state"] == "done")

    await eventually(done)
    assert await world.database.write(work) == ([True, True, False, True, False, True], b"new,whole")


async def test_bad_exports_are_refused(world: World, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for body, status, kind in (
        ({"what": "secrets", "format": "csv"}, 422, "invalid-body"),
        ({"what": "transfers", "format": "xlsx"}, 422, "invalid-body"),
        ({"what": "transfers", "format": "csv", "asset": "gold"}, 422, "malformed-identifier"),
        ({"what": "transfers", "format": "csv", "as_of": f"{A}@999"}, 422, "rejected"),
    ):
        assert is_problem(await made(api, **body), status, kind), body
    assert is_problem(await api.ask("/v1/exports/" + "0" * 32), 404, "not-found")
    # Without pyarrow Parquet says what to install, at once.
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    refused = await made(api, what="transfers", format="parquet")
    assert is_problem(refused, 422, "rejected")
    assert "causeway-gateway[parquet]" in refused.body["detail"]


def test_text_is_quoted_as_csv_wants_it() -> None:
    writer = writer_of("csv", ("a", "b"), frozenset())
    raw = writer.write([('say "hello", world', None)]) + writer.close()
    assert raw == b'a,b\r\n"say ""hello"", world",\r\n'
