"""Travel-rule records: what IVMS101 asks for, what is sealed, and who sees names."""

import base64
import copy
from collections.abc import AsyncIterator, Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.public import PrivateKey, SealedBox

from core.model.errors import ConflictError, RejectedError
from core.runtime.clock import ManualClock
from core.runtime.database import Database, open_database
from regulator_api.travel.ivms101 import IdentityPayload, check_payload
from regulator_api.travel.records import Vault, sealed_for
from tests.regulator_api.api import Api, prepare, serving

SEED = b"\x09" * 32
TODAY = date(2026, 11, 29)
RECEIVER = PrivateKey(b"\x0a" * 32)
NAME = "Wunderlich"
IDENTITIES: dict[str, Any] = {
    "originator": {
        "originatorPersons": [
            {
                "naturalPerson": {
                    "name": {
                        "nameIdentifier": [
                            {"primaryIdentifier": NAME, "secondaryIdentifier": "Lee", "nameIdentifierType": "LEGL"}
                        ]
                    },
                    "geographicAddress": [
                        {
                            "addressType": "GEOG",
                            "streetName": "Potential Street",
                            "buildingNumber": "123",
                            "postCode": "91765",
                            "townName": "Walnut",
                            "country": "US",
                        }
                    ],
                    "dateAndPlaceOfBirth": {"dateOfBirth": "1980-02-29", "placeOfBirth": "Genf"},
                }
            }
        ],
        "accountNumber": ["10023909"],
    },
    "beneficiary": {
        "beneficiaryPersons": [
            {
                "legalPerson": {
                    "name": {
                        "nameIdentifier": [{"legalPersonName": "ABC Limited", "legalPersonNameIdentifierType": "LEGL"}]
                    },
                    "nationalIdentification": {
                        "nationalIdentifier": "5493001KJTIIGC8Y1R12",
                        "nationalIdentifierType": "LEIX",
                    },
                    "countryOfRegistration": "CH",
                }
            }
        ]
    },
    "originatingVASP": {
        "originatingVASP": {
            "legalPerson": {
                "name": {"nameIdentifier": [{"legalPersonName": "VASP A", "legalPersonNameIdentifierType": "LEGL"}]},
                "customerNumber": "7",
            }
        }
    },
}
BODY = {
    "chain": "eip155:1",
    "tx_hash": "0x" + "Ab" * 32,
    "originator_account": f"eip155:1:0x{'a' * 40}",
    "beneficiary_account": f"eip155:1:0x{'b' * 40}",
    "identities": IDENTITIES,
    "receiver_key": bytes(RECEIVER.public_key).hex(),
}
WHY = {"X-Purpose": "a suspicion", "X-Case": "case 7"}


def natural(identities: Any) -> Any:
    return identities["originator"]["originatorPersons"][0]["naturalPerson"]


def legal(identities: Any) -> Any:
    return identities["beneficiary"]["beneficiaryPersons"][0]["legalPerson"]


def test_good_identities_are_taken() -> None:
    check_payload(msgspec.convert(IDENTITIES, IdentityPayload), TODAY)


CHANGES: dict[str, Callable[[Any], Any]] = {
    "C1": lambda one: [natural(one).pop("geographicAddress"), natural(one).pop("dateAndPlaceOfBirth")],
    "C2": lambda one: natural(one)["dateAndPlaceOfBirth"].update(dateOfBirth="2026-11-29"),
    "day in the past": lambda one: natural(one)["dateAndPlaceOfBirth"].update(dateOfBirth="1980-02-30"),
    "C4": lambda one: one["originatingVASP"]["originatingVASP"]["legalPerson"].pop("customerNumber"),
    "C5": lambda one: legal(one)["name"]["nameIdentifier"][0].update(legalPersonNameIdentifierType="TRAD"),
    "C6": lambda one: natural(one)["name"]["nameIdentifier"][0].update(nameIdentifierType="ALIA"),
    "C7": lambda one: legal(one)["nationalIdentification"].update(nationalIdentifierType="CCPT"),
    "C8": lambda one: natural(one)["geographicAddress"][0].pop("buildingNumber"),
    "C9": lambda one: legal(one)["nationalIdentification"].update(countryOfIssue="CH"),
    "C11": lambda one: legal(one)["nationalIdentification"].update(nationalIdentifier="5493001KJTIIGC8Y1R13"),
    "one of them": lambda one: one["originator"]["originatorPersons"][0].clear(),
}


@pytest.mark.parametrize("constraint", CHANGES)
def test_constraint_that_does_not_hold_is_named(constraint: str) -> None:
    identities = copy.deepcopy(IDENTITIES)
    CHANGES[constraint](identities)
    with pytest.raises(RejectedError, match=constraint):
        check_payload(msgspec.convert(identities, IdentityPayload), TODAY)


def test_unknown_members_and_long_names_are_refused() -> None:
    for change in ({"nickname": "W"}, {"customerIdentification": "x" * 51}, {"countryOfResidence": "Switzerland"}):
        identities = copy.deepcopy(IDENTITIES)
        natural(identities).update(change)
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(identities, IdentityPayload)


def test_sealed_identities_open_with_their_key_alone() -> None:
    payload = msgspec.convert(IDENTITIES, IdentityPayload)
    vault = Vault(SEED)
    sealed = sealed_for(vault.public_key, payload)
    assert vault.open(sealed) == payload
    with pytest.raises(ConflictError):
        Vault(b"\x08" * 32).open(sealed)
    with pytest.raises(ConflictError):
        vault.open(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(RejectedError, match="X25519"):
        sealed_for(b"short", payload)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path}/supervision.sqlite")
    await prepare(opened)
    yield opened
    await opened.close()


@pytest.fixture
async def api(database: Database) -> AsyncIterator[Api]:
    async with serving(database, [], ManualClock(1_790_000_000), vault=Vault(SEED)) as made:
        yield made


def stored_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_names_are_seen_with_scope_purpose_and_case_alone(api: Api, tmp_path: Path) -> None:
    made = await api.ask("/v1/travel-rule", "relayer-1", method="POST", json=BODY)
    assert (made.status, made.body) == (201, {"id": 1, "transfer": f"eip155:1:{'ab' * 32}"})
    [shown] = (await api.get("/v1/travel-rule"))["items"]
    assert shown["persons"] == {
        "originators": ["natural person W***, US"],
        "beneficiaries": ["legal person A***, CH"],
        "originating_vasp": ["VASP A"],
        "beneficiary_vasp": [],
    }
    box = base64.b64decode(shown["sealed_for_receiver"])
    assert msgspec.json.decode(SealedBox(RECEIVER).decrypt(box), type=IdentityPayload) == msgspec.convert(
        IDENTITIES, IdentityPayload
    )
    path = "/v1/travel-rule/1/identities"
    assert (await api.ask(path, "inspector", headers=WHY)).status == 403
    for missing in WHY:
        headers = {name: value for name, value in WHY.items() if name != missing}
        refused = await api.ask(path, "confidant", headers=headers)
        assert (refused.status, refused.body["type"]) == (403, "urn:causeway:problem:purpose-missing")
    opened = await api.ask(path, "confidant", headers=WHY)
    assert natural(opened.body["identities"])["name"]["nameIdentifier"][0]["primaryIdentifier"] == NAME
    entries = (await api.get("/v1/audit?who=confidant", "overseer"))["items"]
    assert [(one["status"], one["purpose"], one["case"]) for one in entries] == [
        (200, "a suspicion", "case 7"),
        (403, "a suspicion", ""),
        (403, "", "case 7"),
    ]
    stored = stored_in(tmp_path)
    assert NAME.encode() not in stored
    assert b"Potential Street" not in stored


async def test_record_that_is_not_right_is_refused(api: Api) -> None:
    changes: list[dict[str, Any]] = [
        {"chain": "eip155:5"},
        {"tx_hash": "0x12"},
        {"originator_account": "eip155:1:0x12"},
        {"receiver_key": "00"},
        {"identities": {}},
    ]
    for change in changes:
        assert (await api.ask("/v1/travel-rule", "relayer-1", method="POST", json=BODY | change)).status == 422
    assert (await api.ask("/v1/travel-rule", "inspector", method="POST", json=BODY)).status == 403
    assert (await api.ask("/v1/travel-rule/7/identities", "confidant", headers=WHY)).status == 404


async def test_without_a_key_to_seal_with_nothing_is_taken(database: Database) -> None:
    async with serving(database, [], ManualClock(1_790_000_000)) as api:
        refused = await api.ask("/v1/travel-rule", "relayer-1", method="POST", json=BODY)
        assert (refused.status, "no key" in refused.body["detail"]) == (422, True)
