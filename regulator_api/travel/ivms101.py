"""The interVASP messaging standard IVMS101 (2020), its data model and its constraints: pure.

Names of members are the standard's (section 5), numbers of constraints, such as C6, are those of its section 7.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Final, Literal

import msgspec

from core.model.errors import RejectedError
from regulator_api.knowledge.store import is_lei

Text50 = Annotated[str, msgspec.Meta(min_length=1, max_length=50)]
Text70 = Annotated[str, msgspec.Meta(min_length=1, max_length=70)]
Text100 = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Text16 = Annotated[str, msgspec.Meta(min_length=1, max_length=16)]
Text35 = Annotated[str, msgspec.Meta(min_length=1, max_length=35)]
Country = Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")]
Day = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
MAX_PERSONS: Final = 20
_OF_LEGAL_PERSONS: Final = frozenset({"RAID", "MISC", "LEIX", "TXID"})


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """A part of the model. Unknown members are refused: what nobody checks must not travel along."""


class NaturalPersonNameIdentifier(_Part, frozen=True, kw_only=True):
    primary_identifier: Text100
    secondary_identifier: Text100 | None = None
    name_identifier_type: Literal["LEGL", "BIRT", "MAID", "ALIA", "MISC"]


Names = Annotated[list[NaturalPersonNameIdentifier], msgspec.Meta(min_length=1, max_length=MAX_PERSONS)]
MoreNames = Annotated[list[NaturalPersonNameIdentifier], msgspec.Meta(max_length=MAX_PERSONS)]


class NaturalPersonName(_Part, frozen=True, kw_only=True):
    name_identifier: Names
    local_name_identifier: MoreNames = []
    phonetic_name_identifier: MoreNames = []


class Address(_Part, frozen=True, kw_only=True):
    address_type: Literal["HOME", "BIZZ", "GEOG"]
    department: Text50 | None = None
    sub_department: Text70 | None = None
    street_name: Text70 | None = None
    building_number: Text16 | None = None
    building_name: Text35 | None = None
    floor: Text70 | None = None
    post_box: Text16 | None = None
    room: Text70 | None = None
    post_code: Text16 | None = None
    town_name: Text35 | None = None
    town_location_name: Text35 | None = None
    district_name: Text35 | None = None
    country_sub_division: Text35 | None = None
    address_line: Annotated[list[Text70], msgspec.Meta(max_length=7)] = []
    country: Country


Addresses = Annotated[list[Address], msgspec.Meta(max_length=MAX_PERSONS)]


class NationalIdentification(_Part, frozen=True, kw_only=True):
    national_identifier: Text35
    national_identifier_type: Literal["ARNU", "CCPT", "RAID", "DRLC", "FIIN", "TXID", "SOCS", "IDCD", "LEIX", "MISC"]
    country_of_issue: Country | None = None
    registration_authority: Annotated[str, msgspec.Meta(pattern="^RA[0-9]{6}$")] | None = None


class DateAndPlaceOfBirth(_Part, frozen=True, kw_only=True):
    date_of_birth: Day
    place_of_birth: Text70


class NaturalPerson(_Part, frozen=True, kw_only=True):
    name: NaturalPersonName
    geographic_address: Addresses = []
    national_identification: NationalIdentification | None = None
    customer_identification: Text50 | None = None
    date_and_place_of_birth: DateAndPlaceOfBirth | None = None
    country_of_residence: Country | None = None


class LegalPersonNameIdentifier(_Part, frozen=True, kw_only=True):
    legal_person_name: Text100
    legal_person_name_identifier_type: Literal["LEGL", "SHRT", "TRAD"]


LegalNames = Annotated[list[LegalPersonNameIdentifier], msgspec.Meta(min_length=1, max_length=MAX_PERSONS)]


class LegalPersonName(_Part, frozen=True, kw_only=True):
    name_identifier: LegalNames


class LegalPerson(_Part, frozen=True, kw_only=True):
    name: LegalPersonName
    geographic_address: Addresses = []
    customer_number: Text50 | None = None
    national_identification: NationalIdentification | None = None
    country_of_registration: Country | None = None


class Person(_Part, frozen=True, kw_only=True):
    """One of the two."""

    natural_person: NaturalPerson | None = None
    legal_person: LegalPerson | None = None


Persons = Annotated[list[Person], msgspec.Meta(min_length=1, max_length=MAX_PERSONS)]
AccountNumbers = Annotated[list[Text100], msgspec.Meta(max_length=MAX_PERSONS)]


class Originator(_Part, frozen=True, kw_only=True):
    originator_persons: Persons
    account_number: AccountNumbers = []


class Beneficiary(_Part, frozen=True, kw_only=True):
    beneficiary_persons: Persons
    account_number: AccountNumbers = []


class OriginatingVasp(_Part, frozen=True, kw_only=True):
    originating_vasp: Person = msgspec.field(name="originatingVASP")


class BeneficiaryVasp(_Part, frozen=True, kw_only=True):
    beneficiary_vasp: Person = msgspec.field(name="beneficiaryVASP")


class IdentityPayload(_Part, frozen=True, kw_only=True):
    """Who sends, who receives, and by which institutions."""

    originator: Originator
    beneficiary: Beneficiary
    originating_vasp: OriginatingVasp = msgspec.field(name="originatingVASP")
    beneficiary_vasp: BeneficiaryVasp | None = msgspec.field(name="beneficiaryVASP", default=None)


def check_payload(payload: IdentityPayload, today: date) -> None:
    """Hold a payload against the standard's constraints. Raise `RejectedError` with each that does not hold."""
    faults = [*_faults(payload, today)]
    if faults:
        shown = "; ".join(f"{place}: {fault}" for place, fault in faults[:5])
        errors = [{"pointer": place, "detail": fault} for place, fault in faults]
        raise RejectedError(f"the identities do not fulfil IVMS101: {shown}", errors=errors)


def _faults(payload: IdentityPayload, today: date) -> Iterator[tuple[str, str]]:
    originators = payload.originator.originator_persons
    for number, person in enumerate(originators):
        yield from _person(person, f"#/originator/originatorPersons/{number}", today, originator=True)
    for number, person in enumerate(payload.beneficiary.beneficiary_persons):
        yield from _person(person, f"#/beneficiary/beneficiaryPersons/{number}", today)
    yield from _person(payload.originating_vasp.originating_vasp, "#/originatingVASP/originatingVASP", today, True)
    if payload.beneficiary_vasp is not None:
        yield from _person(payload.beneficiary_vasp.beneficiary_vasp, "#/beneficiaryVASP/beneficiaryVASP", today)


def _person(person: Person, place: str, today: date, originator: bool = False) -> Iterator[tuple[str, str]]:
    if (person.natural_person is None) == (person.legal_person is None):
        yield place, "is a natural or a legal person, one of them"
    if person.natural_person is not None:
        yield from _natural(person.natural_person, f"{place}/naturalPerson", today, originator)
    if person.legal_person is not None:
        yield from _legal(person.legal_person, f"{place}/legalPerson", originator)


def _natural(person: NaturalPerson, place: str, today: date, originator: bool) -> Iterator[tuple[str, str]]:
    if not any(one.name_identifier_type == "LEGL" for one in person.name.name_identifier):
        yield f"{place}/name", "has no legal name (C6)"
    identified = (
        person.geographic_address,
        person.customer_identification,
        person.national_identification,
        person.date_and_place_of_birth,
    )
    if originator and not any(identified):
        yield place, "an originator has an address, a customer or national identification, or a birth (C1)"
    if person.date_and_place_of_birth is not None and not _is_past(person.date_and_place_of_birth.date_of_birth, today):
        yield f"{place}/dateAndPlaceOfBirth", "is not a day in the past (C2)"
    yield from _addresses(person.geographic_address, place)
    national = person.national_identification
    if national is not None and national.registration_authority is not None:
        yield f"{place}/nationalIdentification", "a natural person has no registration authority (C9)"


def _legal(person: LegalPerson, place: str, originator: bool) -> Iterator[tuple[str, str]]:
    if not any(one.legal_person_name_identifier_type == "LEGL" for one in person.name.name_identifier):
        yield f"{place}/name", "has no legal name (C5)"
    national = person.national_identification
    if originator and not (person.geographic_address or national or person.customer_number):
        yield place, "an originator has an address, a national identification or a customer number (C4)"
    yield from _addresses(person.geographic_address, place)
    if national is None:
        return
    at = f"{place}/nationalIdentification"
    if national.national_identifier_type not in _OF_LEGAL_PERSONS:
        yield at, "a legal person's identifier is RAID, MISC, LEIX or TXID (C7)"
    if national.country_of_issue is not None:
        yield at, "a legal person's identifier has no country of issue (C9)"
    if (national.national_identifier_type != "LEIX") == (national.registration_authority is None):
        yield at, "an identifier other than an LEI has a registration authority, an LEI has none (C9)"
    if national.national_identifier_type == "LEIX" and not is_lei(national.national_identifier):
        yield at, "is not a legal entity identifier with its check digits (C11)"


def _addresses(addresses: list[Address], place: str) -> Iterator[tuple[str, str]]:
    for number, one in enumerate(addresses):
        street = one.street_name is not None and (one.building_name is not None or one.building_number is not None)
        if not street and not one.address_line:
            yield f"{place}/geographicAddress/{number}", "has neither a line nor a street with a building (C8)"


def _is_past(day: str, today: date) -> bool:
    try:
        return date.fromisoformat(day) < today
    except ValueError:
        return False


def masked(payload: IdentityPayload) -> dict[str, list[str]]:
    """Return what may be seen of the persons without the right to personal data: their kind, initial and country."""
    return {
        "originators": [_shown(one) for one in payload.originator.originator_persons],
        "beneficiaries": [_shown(one) for one in payload.beneficiary.beneficiary_persons],
        "originating_vasp": [_named(payload.originating_vasp.originating_vasp)],
        "beneficiary_vasp": (
            [] if payload.beneficiary_vasp is None else [_named(payload.beneficiary_vasp.beneficiary_vasp)]
        ),
    }


def _shown(person: Person) -> str:
    natural, legal = person.natural_person, person.legal_person
    if natural is not None:
        initial = natural.name.name_identifier[0].primary_identifier[:1]
        countries = {natural.country_of_residence, *(one.country for one in natural.geographic_address)} - {None}
        return f"natural person {initial}***, {_listed(countries)}"
    countries = set() if legal is None else {legal.country_of_registration} - {None}
    initial = "" if legal is None else legal.name.name_identifier[0].legal_person_name[:1]
    return f"legal person {initial}***, {_listed(countries)}"


def _named(person: Person) -> str:
    """An institution is not a person whose data is personal."""
    legal = person.legal_person
    return _shown(person) if legal is None else legal.name.name_identifier[0].legal_person_name


def _listed(countries: set[str | None]) -> str:
    return ", ".join(sorted(str(one) for one in countries)) or "country unknown"
