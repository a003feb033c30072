"""Versions of lists in the database, on both kinds: what was known when, and what was true when."""

from dataclasses import replace

import pytest
from sqlalchemy.engine import Connection

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.model.types import AccountId
from core.runtime.database import Database
from regulator_api.knowledge import store
from regulator_api.knowledge.store import LabelStore, ListDiff, ListVersion, import_list, load_labels
from regulator_api.knowledge.tables import subjects_in
from regulator_api.knowledge.tags import Labels, Statement, parsed_statement

Taken = tuple[ListVersion, ListDiff]
A, B, C = (AccountId(f"eip155:1:0x{digit * 40}") for digit in "abc")
DAY_S = 86_400
NS = 1_000_000_000


def listed(account: AccountId, day: int, **members: object) -> Statement:
    values: dict[str, object] = {
        "subject": account,
        "label": "OFAC SDN list",
        "category": "sanctioned",
        "source": "OFAC SDN",
        "confidence": 100,
        "valid_from_s": day * DAY_S,
    }
    return parsed_statement(**(values | members))  # type: ignore[arg-type]


async def take(
    database: Database, day: int, *accounts: AccountId, corrects: bool = False
) -> tuple[ListVersion, ListDiff]:
    return await database.write(
        lambda connection: import_list(
            connection,
            "ofac",
            "ofac",
            [listed(account, day) for account in accounts],
            sha256=bytes(32),
            published_s=day * DAY_S,
            who="tests",
            now_ns=day * DAY_S * NS,
            corrects=corrects,
        )
    )


async def known(database: Database, version: int | None = None) -> Labels:
    return await database.read(lambda connection: load_labels(connection, version))


async def test_delisted_account_was_listed_until_then(database: Database) -> None:
    await take(database, 10, A, B)
    made, diff = await take(database, 20, B, C)
    assert (made.version, made.added, made.changed, made.removed) == (2, 1, 0, 1)
    assert [one.subject for one in diff.added] == [C]
    assert [one.subject for one in diff.removed] == [A]
    now, before = await known(database), await known(database, 1)
    assert now.categories(A, 15 * DAY_S) == {"sanctioned"}
    assert now.categories(A, 20 * DAY_S) == frozenset()
    assert before.categories(A, 25 * DAY_S) == {"sanctioned"}  # as far as anybody knew then
    assert now.categories(B, 10 * DAY_S) == {"sanctioned"}
    assert now.categories(B, 10 * DAY_S - 1) == now.categories(C, 19 * DAY_S) == frozenset()


async def test_account_listed_again_keeps_both_periods(database: Database) -> None:
    await take(database, 10, A, B)
    await take(database, 20, B)
    await take(database, 30, A, B)
    labels = await known(database)
    assert [bool(labels.categories(A, day * DAY_S)) for day in (9, 10, 19, 20, 29, 30, 99)] == [
        False,
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    assert len(labels.all_tags(A)) == 2


async def test_corrected_list_takes_an_entry_back_for_all_times(database: Database) -> None:
    await take(database, 10, A, B)
    await take(database, 20, B, corrects=True)
    labels = await known(database)
    assert labels.all_tags(A) == ()
    assert (await known(database, 1)).categories(A, 15 * DAY_S) == {"sanctioned"}


async def test_same_list_again_changes_nothing_but_the_version(database: Database) -> None:
    await take(database, 10, A, B)
    made, diff = await take(database, 20, A, B)
    assert not diff
    assert (made.version, made.entries) == (2, 2)
    (tag,) = (await known(database)).all_tags(A)
    assert (tag.valid_from_s, tag.source_version) == (10 * DAY_S, 1)


async def test_earlier_designation_date_is_a_change(database: Database) -> None:
    await take(database, 10, A)

    made, diff = await database.write(
        lambda connection: import_list(
            connection,
            "ofac",
            "ofac",
            [listed(A, 5)],
            sha256=bytes(32),
            published_s=20 * DAY_S,
            who="tests",
            now_ns=1,
        )
    )
    assert [one.valid_from_s for one in diff.changed] == [5 * DAY_S]
    assert made.known_ns > 10 * DAY_S * NS  # though the clock stood still
    assert (await known(database)).categories(A, 6 * DAY_S) == {"sanctioned"}
    assert (await known(database, 1)).categories(A, 6 * DAY_S) == frozenset()


async def test_older_list_is_refused(database: Database) -> None:
    await take(database, 20, A)
    with pytest.raises(ConflictError, match="published later"):
        await take(database, 10, B)
    assert (await known(database)).version == 1


async def test_half_a_list_and_a_list_of_another_kind_are_refused(database: Database) -> None:
    await take(database, 10, A, B, C)
    with pytest.raises(ConflictError, match="is it the whole list"):
        await take(database, 20, A)

    def other(connection: Connection) -> Taken:
        return import_list(
            connection, "ofac", "tagpack", [listed(A, 20)], sha256=bytes(32), published_s=20 * DAY_S, who="", now_ns=1
        )

    with pytest.raises(ConflictError, match="of the kind ofac"):
        await database.write(other)
    assert (await known(database)).version == 1


async def test_unknown_label_version_is_refused(database: Database) -> None:
    with pytest.raises(NotFoundError, match="no label version 7"):
        await known(database, 7)
    assert (await known(database, 0)).version == 0


async def test_own_statement_replaces_the_one_before_it(database: Database) -> None:
    first = listed(A, 1, label="ours", category="exchange", entity="shop", jurisdiction="CH", confidence=80)

    async def state(statement: Statement) -> ListVersion:
        return await database.write(
            lambda connection: store.state_own(connection, statement, sha256=bytes(32), who="tests", now_ns=NS)
        )

    assert (await state(first)).added == 1
    changed = await state(replace(first, confidence=90))
    assert (changed.version, changed.added, changed.changed, changed.entries) == (2, 0, 1, 1)
    labels = await known(database)
    assert [tag.confidence for tag in labels.all_tags(A)] == [90]
    assert labels.entity_of(A) == "shop"
    assert labels.accounts_of("shop") == (A,)
    with pytest.raises(RejectedError, match="under another name"):
        await database.write(
            lambda connection: import_list(
                connection, "own", "ofac", [first], sha256=bytes(32), published_s=1, who="tests", now_ns=NS
            )
        )


async def test_jurisdiction_comes_from_tags_and_from_entities(database: Database) -> None:
    def fill(connection: Connection) -> None:
        for statement in (
            listed(A, 1, label="a", jurisdiction="CH"),
            listed(B, 1, label="b", entity="shop"),
            listed(C, 1, label="c", jurisdiction="FR"),
        ):
            store.state_own(connection, statement, sha256=bytes(32), who="tests", now_ns=NS)
        store.state_entity(
            connection, store.parsed_entity("shop", "The Shop", "CH"), sha256=bytes(32), who="tests", now_ns=NS
        )

    await database.write(fill)
    labels = await known(database)
    found = await database.read(
        lambda connection: set(connection.execute(subjects_in(frozenset({"CH"}), labels.known_ns)).scalars())
    )
    assert found == {A, B} == {one for one in labels.subjects() if "CH" in labels.jurisdictions(one)}
    earlier = await database.read(
        lambda connection: set(connection.execute(subjects_in(frozenset({"CH"}), labels.known_ns - 1)).scalars())
    )
    assert earlier == {A}


async def test_label_store_follows_new_versions(database: Database) -> None:
    labels = LabelStore()
    await take(database, 10, A)
    first = await database.read(labels.at)
    assert await database.read(labels.at) is first
    await take(database, 20, A, B)
    assert (await database.read(labels.at)).version == 2
    assert (await database.read(lambda connection: labels.at(connection, 1))).categories(B, 30 * DAY_S) == frozenset()


async def test_differences_of_a_version_come_in_pages(database: Database) -> None:
    await take(database, 10, A, B)
    await take(database, 20, B, C)
    first = await database.read(lambda connection: store.differences(connection, 2, 2))
    rest = await database.read(lambda connection: store.differences(connection, 2, 9, store.change_key(first[-1][1])))
    assert [(what, tag.subject) for what, tag in first + rest] == [("replaced", A), ("stated", A), ("stated", C)]


@pytest.mark.parametrize("lei", ["5493001KJTIIGC8Y1R12", "5493001KJTIIGC8Y1R1", "5493001kjtiigc8y1r12"])
def test_lei_has_its_check_digits(lei: str) -> None:
    if lei == "5493001KJTIIGC8Y1R12":
        assert store.parsed_entity("a", "A", lei=lei).lei == lei
    else:
        with pytest.raises(RejectedError, match="legal entity identifier"):
            store.parsed_entity("a", "A", lei=lei)
