"""Proofs of what reading shows: balances, records, lists that prove that nothing is missing, logs of Ethereum, and
transactions of a ledger.

Each answer is an evidence file, byte for byte as `causeway verify` reads it: a proof under a finalized block, or an
error; there is nothing in between. A list of a consortium ledger carries its proven length, so that an answer from the
first place to the last one shows that no entry is left out.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from core.model.errors import NotFoundError, RejectedError
from core.model.ports import Prover
from core.model.questions import (
    MAX_LIST_ENTRIES,
    MAX_LIST_PLACE,
    BalanceQuestion,
    ListQuestion,
    LogQuestion,
    Question,
    TransactionQuestion,
)
from core.model.types import AccountId, ChainId, address_of, chain_of
from core.runtime.web import Route, read_query
from regulator_api.access.scope import SCOPE, Scope
from regulator_api.bodies import EvidenceFile
from regulator_api.proofs.claims import LEDGER
from regulator_api.proofs.proving import evidence_file
from regulator_api.reading.common import Reading
from regulator_api.reading.questions import parse_hash
from regulator_api.requests import Hash32, Identifier
from regulator_api.view import View
from regulator_api.view.accounts import span
from regulator_api.view.things import record_history, transactions

PROBLEMS: Final = (
    (404, "There is no such thing for this caller, or the chain does not keep it."),
    (409, "It is not final yet."),
    (422, "The chain cannot prove it, or a question is not in its form."),
    (503, "The chain does not answer: try again."),
)
_PLACE = msgspec.Meta(ge=1, le=MAX_LIST_PLACE)


class BalanceProofQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    asset: Identifier


class ListProofQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Places of the list, from 1, both inclusive. The answer says how long the list is."""

    first: Annotated[int, _PLACE] = 1
    last: Annotated[int, _PLACE] = MAX_LIST_ENTRIES


class TransactionProofQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`log` counts the logs of a transaction on Ethereum from 0. On a ledger all of the transaction is proven."""

    chain: Identifier
    tx: Hash32
    log: Annotated[int, msgspec.Meta(ge=0, le=2**16 - 1)] = 0


def routes(reading: Reading, provers: Mapping[ChainId, Prover | None]) -> list[Route]:
    """Every path of proofs."""
    proofs = Proofs(reading, provers)
    shared: dict[str, Any] = {
        "answer": EvidenceFile,
        "scope": "evidence",
        "problems": PROBLEMS,
        "tag": "supervision",
    }
    return [
        Route(
            "GET",
            "/v1/accounts/{account}/evidence",
            proofs.balance,
            "Proof of a balance",
            query=BalanceProofQuery,
            **shared,
        ),
        Route(
            "GET",
            "/v1/accounts/{account}/locks/evidence",
            proofs.locks,
            "Proof of all locks that an account made",
            query=ListProofQuery,
            **shared,
        ),
        Route(
            "GET",
            "/v1/records/{chain}/{namespace}/{key}/evidence",
            proofs.record,
            "Proof of all versions of a record",
            query=ListProofQuery,
            **shared,
        ),
        Route(
            "GET",
            "/v1/transfers/evidence",
            proofs.transaction,
            "Proof of a log of an Ethereum transaction, or of a ledger's transaction",
            query=TransactionProofQuery,
            **shared,
        ),
    ]


class Proofs:
    """The handlers. `provers` by chain; None for a chain that has none here."""

    def __init__(self, reading: Reading, provers: Mapping[ChainId, Prover | None]) -> None:
        self._reading = reading
        self._provers = provers

    async def balance(self, request: web.Request) -> web.Response:
        query = read_query(request, BalanceProofQuery)
        _, asset, (account,) = await self._reading.filters(
            request[SCOPE], None, query.asset, request.match_info["account"]
        )
        if asset is None or account is None:
            raise RejectedError("a balance is of an account and an asset")
        await self._seen(request, account)
        return await self._prove(BalanceQuestion(chain_of(account), account, asset))

    async def locks(self, request: web.Request) -> web.Response:
        query = read_query(request, ListProofQuery)
        account = self._reading.account(request.match_info["account"])
        await self._seen(request, account)
        return await self._prove(_list(chain_of(account), f"locks/{address_of(account)}", query))

    async def record(self, request: web.Request) -> web.Response:
        query = read_query(request, ListProofQuery)
        chain = self._reading.chain(request.match_info["chain"])
        namespace, key = request.match_info["namespace"], request.match_info["key"]
        found, _ = await self._reading.read(
            request, (None, None), lambda view: record_history(view, chain, namespace, key, 1, None)
        )
        if not found:
            raise NotFoundError("there is no such record", chain=chain)
        return await self._prove(_list(chain, f"records/{namespace}/{key}", query))

    async def transaction(self, request: web.Request) -> web.Response:
        query = read_query(request, TransactionProofQuery)
        chain, tx_hash = self._reading.chain(query.chain), parse_hash(query.tx, "tx")
        chains, _ = await self._reading.read(request, (None, None), lambda view: transactions(view, tx_hash))
        if chain not in chains:
            raise NotFoundError(f"no event of this transaction is indexed on {chain}")
        if not chain.startswith(LEDGER):
            return await self._prove(LogQuestion(chain, tx_hash, query.log))
        if query.log:
            raise RejectedError(f"a transaction on {chain} has no logs: leave out log")
        return await self._prove(TransactionQuestion(chain, tx_hash), request[SCOPE])

    async def _seen(self, request: web.Request, account: AccountId) -> None:
        """Raise `NotFoundError` for an account that this caller has no row of, or may not see by itself."""

        def work(view: View) -> bool:
            return view.sees([account]) and span(view, account) is not None

        seen, _ = await self._reading.read(request, (None, None), work)
        if not seen:
            raise NotFoundError("no movement of this account is indexed", account=account)

    async def _prove(self, question: Question, scope: Scope | None = None) -> web.Response:
        raw = await evidence_file(self._provers.get(question.chain), question, scope)
        return web.Response(body=raw, content_type="application/json")


def _list(chain: ChainId, name: str, query: ListProofQuery) -> ListQuestion:
    return ListQuestion(chain, name, query.first, query.last)
