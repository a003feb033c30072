"""Published lists: every form that is read, and what is refused whole."""

import json

import pytest

from core.model.errors import RejectedError
from core.model.types import ChainId
from regulator_api.knowledge.formats import ListKind, ParsedList, parse_list
from regulator_api.knowledge.formats.reading import MAX_ERRORS, ListFile, MalformedListError

PUBLISHED_S = 1_727_395_200
TORNADO = "0x8589427373D6D84E98730D7795D8f6f8731FDA16"
LAZARUS = "0x098B716B8Aaf21512996dC57EB0615e2383E2f96"
BITCOIN = "bip122:000000000019d6689c085ae165831e93"
DEVNET = ChainId("eip155:31337")

PACK = f"""\
title: Mixers
creator: tests
category: mixing_service
label: tornado.cash
currency: ETH
lastmod: 2022-08-10
confidence: authority_data
source: https://example.org
actor: tornado
tags:
- address: '{TORNADO} '
- address: '{LAZARUS}'
  label: Ronin exploiter
  abuse: sanction
  category: user
  confidence: ownership
  actor: lazarus
  context: '{{"a": 1}}'
"""
SDN = f"""\
<?xml version="1.0" standalone="yes"?>
<sdnList xmlns="https://example.org/sdn.xsd">
  <publshInformation><Publish_Date>09/27/2024</Publish_Date></publshInformation>
  <sdnEntry>
    <uid>27307</uid><firstName>Some</firstName><lastName>BODY</lastName><sdnType>Individual</sdnType>
    <idList>
      <id><uid>1</uid><idType>Passport</idType><idNumber>X1</idNumber></id>
      <id><uid>2</uid><idType>Digital Currency Address - ETH</idType><idNumber>{TORNADO}</idNumber></id>
      <id><uid>3</uid><idType>Digital Currency Address - XBT</idType>
        <idNumber>12QtD5BFwRsdNsAZY76UVE1xyCGNTojH9h</idNumber></id>
    </idList>
  </sdnEntry>
</sdnList>
"""


def parse(kind: ListKind, *files: tuple[str, str | bytes], also_on: tuple[ChainId, ...] = ()) -> ParsedList:
    given = [ListFile(name, text if isinstance(text, bytes) else text.encode()) for name, text in files]
    return parse_list(kind, given, published_s=PUBLISHED_S, also_on=also_on)


def test_ofac_arrays_become_statements_on_their_chains() -> None:
    found = parse(
        "ofac",
        ("sanctioned_addresses_ETH.json", json.dumps([TORNADO])),
        ("sanctioned_addresses_USDT.json", json.dumps([LAZARUS, "TEAqwfMhXLaomXhZ8KeMhx3njGmQEDnsUR"])),
        ("sanctioned_addresses_XBT.json", json.dumps(["12QtD5BFwRsdNsAZY76UVE1xyCGNTojH9h"])),
        also_on=(DEVNET,),
    ).statements
    assert {statement.subject for statement in found} == {
        f"eip155:1:{TORNADO.lower()}",
        f"eip155:31337:{TORNADO.lower()}",
        f"eip155:1:{LAZARUS.lower()}",
        f"eip155:31337:{LAZARUS.lower()}",
        "tron:0x2b6653dc:TEAqwfMhXLaomXhZ8KeMhx3njGmQEDnsUR",
        f"{BITCOIN}:12QtD5BFwRsdNsAZY76UVE1xyCGNTojH9h",
    }
    assert {(one.category, one.confidence, one.valid_from_s) for one in found} == {("sanctioned", 100, PUBLISHED_S)}


def test_ofac_entry_with_dates_keeps_them() -> None:
    entry = {"address": TORNADO, "designated": "2022-08-08", "delisted": "2025-03-21", "entity": "tornado"}
    (found,) = parse("ofac", ("x_ETH.json", json.dumps([entry]))).statements
    assert (found.valid_from_s, found.valid_to_s, found.entity) == (1_659_916_800, 1_742_515_200, "tornado")


def test_tagpack_tags_inherit_and_override_its_fields() -> None:
    found = {(one.subject[9:], one.category): one for one in parse("tagpack", ("mixers.yaml", PACK)).statements}
    assert set(found) == {
        (TORNADO.lower(), "mixing_service"),
        (LAZARUS.lower(), "user"),
        (LAZARUS.lower(), "sanctioned"),
    }
    tornado, lazarus = found[TORNADO.lower(), "mixing_service"], found[LAZARUS.lower(), "sanctioned"]
    assert (tornado.label, tornado.entity, tornado.confidence) == ("tornado.cash", "tornado", 60)
    assert (lazarus.label, lazarus.entity, lazarus.confidence) == ("Ronin exploiter", "lazarus", 100)
    assert tornado.valid_from_s == 1_660_089_600  # 2022-08-10


def test_sdn_list_names_who_has_the_addresses() -> None:
    found = parse("sdn", ("sdn.xml", SDN)).statements
    assert [(one.subject, one.label, one.entity) for one in found] == [
        (f"eip155:1:{TORNADO.lower()}", "Some BODY", "ofac-27307"),
        (f"{BITCOIN}:12QtD5BFwRsdNsAZY76UVE1xyCGNTojH9h", "Some BODY", "ofac-27307"),
    ]


BROKEN = TORNADO[:-1] + "7"  # its checksum does not hold


@pytest.mark.parametrize(
    ("kind", "name", "text", "lines"),
    [
        ("ofac", "a_ETH.json", f'[\n  "{TORNADO}",\n  "{BROKEN}",\n  7\n]', [3, 4]),
        ("ofac", "a_ETH.json", f'[\n  "{TORNADO}"\n  "{LAZARUS}"\n]', [3]),
        ("ofac", "a_ETH.json", f'[\n  "{TORNADO}",\n]', [3]),
        ("ofac", "a_ETH.json", f'["{TORNADO}"', [1]),
        ("ofac", "a_ETH.json", f'["{TORNADO}"]\n["{LAZARUS}"]', [2]),
        ("ofac", "a_ETH.json", "{}", [1]),
        ("ofac", "a_ETH.json", b'[\n"\xff"]', [2]),
        ("ofac", "a_ETH.json", "[" * 100_000, [1]),
        ("ofac", "a_ETH.json", '[{"address": "0x1", "designated": "yesterday"}]', [1]),
        ("ofac", "a_NOPE.json", f'["{TORNADO}"]', [1]),
        ("ofac", "nothing.txt", f'["{TORNADO}"]', [1]),
        ("tagpack", "a.yaml", PACK + "- address: 'junk'\n", [19]),
        ("tagpack", "a.yaml", PACK + "- label: nobody\n", [19]),
        ("tagpack", "a.yaml", PACK.replace("authority_data", "certainly"), [11]),
        ("tagpack", "a.yaml", PACK.replace("2022-08-10", "soon"), [11, 12]),
        ("tagpack", "a.yaml", "tags: [a, b\n", [1]),
        ("tagpack", "a.yaml", "- 1\n- 2\n", [1]),
        ("tagpack", "a.yaml", "title: nothing\n", [1]),
        ("tagpack", "a.yaml", "title: &a x\nlabel: *a\ntags: []\n", [2]),
        ("tagpack", "a.yaml", "tags: " + "[" * 50_000, [1]),
        ("tagpack", "a.yaml", PACK + "---\nx: 1\n", [1]),
        ("tagpack", "a.yaml", "title: a\ntitle: b\ntags: []\n", [2]),
        ("tagpack", "a.yaml", b"title: \xff\xfe\n", [1]),
        ("tagpack", "a.yaml", "", [1]),
        ("tagpack", "a.yaml", "# nothing\n", [1]),
        ("sdn", "sdn.xml", SDN.replace(TORNADO, BROKEN), [8]),
        ("sdn", "sdn.xml", SDN[:-20], [12]),
        ("sdn", "sdn.xml", SDN.replace("<sdnList ", '<!DOCTYPE a [<!ENTITY b "c">]><sdnList '), [2]),
        ("sdn", "sdn.xml", "<a>" * 100, [1]),
        ("sdn", "sdn.xml", "<a/>", [1]),
        ("sdn", "sdn.xml", '<?xml version="1.0" encoding="nonsense"?><a/>', [1]),
        ("sdn", "sdn.xml", '<?xml version="1.0" encoding="gbk"?><a/>', [1]),
    ],
)
def test_malformed_list_is_refused_whole_with_its_lines(
    kind: ListKind, name: str, text: str | bytes, lines: list[int]
) -> None:
    with pytest.raises(MalformedListError) as refused:
        parse(kind, (name, text))
    assert [error["line"] for error in refused.value.fields["errors"]][: len(lines)] == lines


def test_endless_faults_are_counted_and_not_all_shown() -> None:
    with pytest.raises(MalformedListError) as refused:
        parse("ofac", ("a_ETH.json", json.dumps(["x"] * 1_000)))
    assert len(refused.value.fields["errors"]) == MAX_ERRORS
    assert refused.value.fields["lines"] == 1_000


def test_list_without_entries_delists_nobody() -> None:
    with pytest.raises(MalformedListError, match="empty list"):
        parse("ofac", ("a_ETH.json", "[]"))
    with pytest.raises(RejectedError, match="1 to 200 files"):
        parse("ofac")


def test_order_of_files_does_not_change_the_version() -> None:
    files = [("a_ETH.json", f'["{TORNADO}"]'), ("b_ETC.json", f'["{LAZARUS}"]')]
    assert parse("ofac", *files).sha256 == parse("ofac", *files[::-1]).sha256
    assert parse("ofac", *files).sha256 != parse("ofac", files[0]).sha256
