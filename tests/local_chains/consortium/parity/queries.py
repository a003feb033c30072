"""Event queries, right and wrong: searches of transactions and of blocks, and subscriptions."""

import itertools
from collections.abc import Sequence
from typing import Final

from tests.local_chains.consortium.parity.calls import raw, rpc

HEIGHTS: Final = [
    *("tx.height=3", "tx.height = 3", "tx.height=3 AND tx.height=4", "tx.height=3 AND tx.height>3"),
    *("tx.height>2 AND tx.height<5", "tx.height>=2 AND tx.height<=4", "tx.height > 3 AND tx.height=3 AND tx.height<6"),
    *("tx.height=3.0", "tx.height=3.5", "tx.height='3'", "tx.height=03", "tx.height='x'", "tx.height=0"),
    *("tx.height EXISTS AND tx.height<6", "tx.height CONTAINS '3' AND tx.height<6", "tx.height<3.5", "tx.height='-3'"),
    *(
        "tx.height>2.5 AND tx.height<5",
        "tx.height<-1",
        "tx.height=-1",
        "tx.height<99999999999999999999 AND tx.height<4",
    ),
    *("tx.height < 4 AND tx.height < 3", "tx.height < 3 AND tx.height < 4", "tx.height='1e999999999'"),
    *("tx.height >= 2 AND tx.height > 3 AND tx.height < 6", "tx.height <= 4 AND tx.height < 5", "tx.height='+3'"),
    *("tx.height=99999999999999999999", "tx.height>99999999999999999999", "tx.height='3' AND tx.height='x'"),
]
HASHES: Final = [
    *("tx.hash='{TX}'", "tx.hash='{tx}'", "tx.hash = '{TX}' AND tx.height = 77", "tx.height=99 AND tx.hash='{TX}'"),
    *(
        "tx.hash='00'",
        "tx.hash=''",
        "tx.hash EXISTS",
        "tx.hash=7",
        "tx.hash=77",
        "tx.hash CONTAINS 'a'",
        "tx.hash='zz'",
    ),
    *("tx.hash CONTAINS 'ab'", "tx.hash > 3", "tx.hash='{TX}' AND tx.hash='00'", "tx.hash='0x{TX}'"),
]
PAID: Final = "bank.transfer.amount"
ATTRIBUTES: Final = [
    *(
        f"{PAID}{rest}"
        for rest in ("=7", "='7'", "=07", "=7.0", ">1", "<2.5", " EXISTS", " CONTAINS '7'", " CONTAINS ''")
    ),
    *(f"{PAID}>=1 AND {PAID}<=2", f"{PAID}>1 AND {PAID}<5", f"{PAID}>5 AND {PAID}>1", f"{PAID}='1' AND {PAID}='5'"),
    *("bank.transfer EXISTS", "bank EXISTS", "bank.transfer.none EXISTS", f"{PAID}=7 AND tx.height=99"),
    *(f"{PAID}='7' AND bank.transfer.asset='{asset}'" for asset in ("gold", "cnyd")),
    *(f"{PAID}='1' AND bank.transfer.receiver='{{ann}}'", f"{PAID}='5' AND records.write.key='one'"),
    *(
        f"bank.transfer.sender='{{ann}}'{more}"
        for more in (
            *(
                "",
                " AND tx.height=3",
                " AND tx.height=3.5",
                " AND tx.height=0",
                " AND tx.height='3'",
                " AND tx.height>3",
            ),
            *(" AND tx.height>=3 AND tx.height<=3", " AND tx.height EXISTS", " AND tx.height CONTAINS '3'"),
            *(" AND tx.height=3 AND tx.height=4", " AND tx.height>DATE 2020-01-01", " AND tx.height='-3'"),
        )
    ),
    *("bank.transfer.sender CONTAINS '{ann}'", "bank.transfer.sender>0", "bank.transfer.receiver<0"),
    *("htlc.lock.hashlock='{hashlock}'", "htlc.lock.timelock>1", "htlc.lock.timelock>=4000000000"),
    *(
        "htlc.lock.timelock>4000000000",
        "records.write.digest EXISTS",
        "records.write.digest>1",
        "records.write.version=1",
    ),
    *("records.write.key='one'", "records.write.key='o'", "records.write.key CONTAINS 'o'"),
    "records.write.namespace='notes' AND records.write.key='two'",
]
TIMES: Final = [
    *(f"{PAID}{sign}{moment}" for sign in "=>" for moment in ("TIME 2020-01-01T00:00:00Z", "DATE 2020-01-01")),
    *("tx.height>DATE 2020-01-01", "tx.height=DATE 2020-01-01", "tx.height<4 AND tx.height>DATE 2020-01-01"),
    *(f"{PAID}=DATE {day}" for day in ("2020-13-01", "2020-02-30", "1800-01-01", "3000-01-01", "20-1-1", "")),
    *(f"{PAID}=TIME {time}" for time in ("2020-01-01", "2020-01-01T00:00:00+01:00", "2020-01-01T00:00:00.5Z", "x")),
    *(f"{PAID}=TIME", f"{PAID}=TIME  2020-01-01T00:00:00Z", "TIME=7", "DATE EXISTS", "DATE = 7", "DATE=7"),
]
WORDS: Final = [
    *("", "   ", "x", "a", "a=1", "a.b='x'", "a.b = 'it''s'", "a.b='é'", "é.b=1", "a.b=1 AND", "AND", "a.b AND"),
    *("a.b=1 AND AND a.c=2", "a.b=1 OR a.c=2", "a.b=1 and a.c=2", "a.b exists", "a.b EXISTSAND a.c EXISTS", "OR"),
    *("a.b EXISTS AND a.c EXISTS", "a.b='x'AND a.c='y'", "a.b=1AND a.c=2", "a.b=1 ANDa.c=2", "a.b>'x'", "a.b<='x'"),
    *("a.b CONTAINS 7", "a.b CONTAINS x", "a.b==1", "a.b=>1", "a.b=<1", "a.b= =1", "a.b<>1", "a.b!=1", "a.b>1."),
    *("a.b>.5", "a.b>1.2.3", "a.b>1e3", "a.b=-5", "a.b=+5", "a.b=0x5", "a.b=1_0", "a-b.c=1", "-a.b=1", "_a.b=1"),
    *(".a=1", "1a.b=1", "7=7", "7 EXISTS", "a.b=''", "a.b='", "a.b='x", "a.b=1 'x", "a.b=1 x", 'a.b=\\"x\\"', "a.b=x"),
    *("a.b=true", "(a.b=1)", "a.b=1;", "\\t a.b = 1 \\n", "a.b\\u00a0=\\u00a01", "a.b\\u0085=1", "a.b\\u2003EXISTS"),
    *("a.b=1\\u0000", "a.b\\u001c=1", "a.b/c=1", f"a.b={'1' * 60}", f"a.b={'1' * 200}", f"a.b={'1' * 60}.{'2' * 60}"),
    *(f"a.b='{'x' * length}'" for length in (480, 506, 507)),
    *(f"a.b='{'é' * 300}'", "a.b=1 AND " * 30 + "a.b=1", "EXISTS EXISTS", "CONTAINS CONTAINS 'x'", "a.b EXISTS 7"),
    *(
        "a.b EXISTS 'x'",
        "a..b=1",
        "a.=1",
        "tm.event='Tx'",
        "tm.event='NewBlock'",
        "a.٣=1",
        "a.b=٣",
        "٣=1",
        "a.b=\\ud800",
    ),
]
BLOCKS: Final = [
    *(
        f"block.height{rest}"
        for rest in (
            *("=3", "='3'", "=3 AND block.height=4", "=3.5", "=3.0", "='x'", "=03", "=99999", "=0", "=-1", ""),
            *(
                " EXISTS AND block.height<4",
                " EXISTS",
                " CONTAINS '3'",
                ">2 AND block.height<5",
                "<2.5",
                ">DATE 2020-01-01",
            ),
            *("=3 AND block.height<9 AND block.height<4", ">=1 AND block.height<=2", " < 4 AND block.height < 3"),
            *(" < 3 AND block.height < 4", "=3 AND a.b=1", "='3' AND block.height EXISTS", "=3 AND block.height='x'"),
            *("=DATE 2020-01-01", "=TIME 2020-01-01T00:00:00Z", ">2 AND block.height<5 AND a.b CONTAINS 'x'"),
        )
    ),
    *("bank.transfer.amount=7", "bank.transfer.amount>1", "a.b EXISTS", "a.b=1", "a.b>1", "a.b=1 AND block.height>2"),
    *("tx.height=3", "tx.height>1", "tx.height EXISTS", "tx.hash='{TX}'", "", "x", "a.b="),
]


def searches() -> list[str | bytes]:
    queries = itertools.chain(HEIGHTS, HASHES, ATTRIBUTES, TIMES, WORDS)
    found: list[str | bytes] = [raw("tx_search", f'{{"query":"{query}","per_page":"100"}}') for query in queries]
    found += [raw("block_search", f'{{"query":"{query}"}}') for query in BLOCKS]
    for page, order in itertools.product(("1", "2", "3", "4", "0", "-1", "x"), ("asc", "desc", "", "ASC", "up")):
        paging = f'"per_page":"2","page":"{page}","order_by":"{order}"'
        found.append(raw("tx_search", f'{{"query":"tx.height>2 AND tx.height<6",{paging},"prove":true}}'))
        found.append(raw("block_search", f'{{"query":"block.height<6",{paging}}}'))
    for number in ("0", "-1", "101", "1000000"):
        found.append(raw("tx_search", f'{{"query":"tx.height=3","per_page":"{number}"}}'))
    for page in ("1", "2", "0"):
        found.append(raw("tx_search", f'{{"query":"a.b=1","page":"{page}"}}'))
        found.append(raw("tx_search", f'{{"query":"a.b=","page":"{page}","order_by":"x"}}'))
    found += ["tx_search", "block_search", 'tx_search?query="tx.height>0"&page=99999', "tx_search?query=tx.height>0"]
    found.append(raw("tx_search", '{"query":7}'))
    return list(dict.fromkeys(found))


SEARCHES: Final = searches()

QUIET: Final = "tm.event = 'None'"


def subscribe(query: str, request_id: str | int = 1) -> bytes:
    return rpc("subscribe", {"query": query}, request_id)


def unsubscribe(query: str) -> bytes:
    return rpc("unsubscribe", {"query": query})


def same(*queries: str) -> Sequence[bytes]:
    """Subscribe to the first, and take that back in the words of each of the others until one is the same."""
    return [subscribe(queries[0]), *map(unsubscribe, queries[1:])]


MOMENTS: Final = ("TIME 2020-01-01T00:00:00Z", "DATE 2020-01-01")
LONG: Final = "a.b='" + "x" * 600 + "'"
JUST: Final = "a.b='" + "x" * 506 + "'"
MESSAGES: Final = [
    *(rpc("health", {}), rpc("health"), rpc("health", {}, "x"), rpc("health", {}, 1.5), rpc("health", {}, True)),
    *(
        rpc("nope", {}),
        rpc("block", {"height": "2"}),
        rpc("block", {"height": 2}),
        rpc("header_by_hash", {"hash": "zz"}),
    ),
    *(b"{", b"7", b"[]", b'"x"', b"[" + rpc("health", {}) + b"]", b"[" * 5_000, b" "),
    *(rpc("health", {}) + b"x", rpc("health", {}) * 2, b" " + rpc("health", {}), rpc("health", {}) + b" trailing"),
    *(b'7 {"id":1,"method":"health","params":{}}', b'{"id":1,"method":"health"}', b'{"id":1e99,"method":"health"}'),
    *(raw("block", "7"), raw("block", "[1,2]"), rpc("tx", {"hash": "AAAA"}), rpc("genesis_chunked", {})),
    rpc("consensus_params", {"height": "1"}),
    *(
        rpc("subscribe", params)
        for params in ({}, {"query": 7}, [], [QUIET, 1], {"query": None}, [None], {"Query": QUIET})
    ),
    *(
        subscribe(query)
        for query in ("", "x", "a" * 600, "tm.event = 'NewBlock' AND", "AND", "a.b=", "a.b=TIME x", LONG)
    ),
    *(rpc("unsubscribe_all", params) for params in ({}, {"x": 1}, [1], [])),
    *(subscribe(QUIET), subscribe(QUIET), rpc("subscribe", [QUIET]), rpc("unsubscribe", {}), unsubscribe("x")),
    *(rpc("unsubscribe", {"query": 7}), unsubscribe(""), unsubscribe(QUIET), unsubscribe(QUIET)),
    *(rpc("subscribe", [QUIET], "again"), rpc("unsubscribe_all"), rpc("unsubscribe_all", {})),
    *same("tm.event='None'", "tm.event   =   'None'"),
    *same(f"{QUIET} AND a.b=1 AND c.d EXISTS", "tm.event='None' AND a.b = 1 AND c.d EXISTS"),
    *same("a.b=01", "a.b=1", "a.b = 01"),
    *same("a.b=1.0", "a.b = 1.0"),
    *same("a.b=1.", "a.b = 1", "a.b = 1."),
    *same("a.b<=1 AND a.b CONTAINS 'x' AND a.c>2", "a.b <= 1 AND a.b CONTAINS 'x' AND a.c > 2"),
    *same(f"a.b={MOMENTS[0]} AND a.b={MOMENTS[1]}", f"a.b = {MOMENTS[0]} AND a.b = {MOMENTS[1]}"),
    *same(JUST, LONG, JUST),
    *(subscribe(f"a.b={number}") for number in range(8)),
    *(rpc("broadcast_tx_commit", {"tx": "{raw64}"}), rpc("unsubscribe_all", {}), rpc("unsubscribe_all", {})),
]
"""Messages to a WebSocket that are answered, in this order on one connection."""

HEARD: Final = [
    *("tm.event='Tx'", f"tm.event='Tx' AND {PAID}=9", f"tm.event='Tx' AND {PAID}>8", "tm.event CONTAINS 'Tx'"),
    *(f"{PAID}{rest}" for rest in ("=9.0", "='9'", "='9.0'", "=09", "<10", "<=8.99", " CONTAINS '9'")),
    *("bank.transfer.sender>0", "bank.transfer.receiver>0", "bank.transfer EXISTS", "bank EXISTS", "bank.transfer=''"),
    *("bank.transfer CONTAINS ''", "bank.transfer CONTAINS 'x'", "bank.transfer>0", "tx EXISTS", "tx.height>1"),
    *("tm EXISTS AND tx.height>1", "tx.height=1", "tx.hash EXISTS", "tx.hash='{NEW}'", "tx.hash='{new}'"),
    *("tx.height EXISTS AND bank.transfer.asset='gold'", f"bank.transfer.asset='gold' AND {PAID}=9"),
    *("bank.transfer.asset='gold' AND bank.transfer.asset='cnyd'", "records.write.key=2020", "records.write.key>2019"),
    *(f"records.write.key{rest}" for rest in ("=DATE 2020-01-02", ">DATE 2020-01-01", "<=DATE 2020-01-01")),
    *("records.write.key=TIME 2020-01-02T00:00:00Z", "records.write.key='2020-01-02'", "records.write.version=1"),
    *("records.write.digest EXISTS", "records.write.digest>0", "tm.event='NewBlock' AND tm.event EXISTS", "TX='x'"),
    *("htlc.lock EXISTS", "bank.transfe EXISTS", "a.b EXISTS"),
]
"""Some of them hear of the transaction `NEW`, which pays 9 cnyd and 1 gold and writes the record 2020-01-02."""
