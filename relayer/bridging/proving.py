"""Proofs of the questions of one chain are made and kept.

What is due at one look is proven as of one height of each chain, so that answers share a header and a transaction.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from functools import partial
from typing import Final

from core.model.boards import QueryBoard
from core.model.errors import FatalError, GateClosedError, NotYetFinalError, RejectedError, RetryableError
from core.model.facts import HeadUpdate
from core.model.ports import ChainTiming, Prover
from core.model.questions import LASTING, Evidence
from core.model.types import ChainId, Height
from core.model.uris import parse_uri
from core.proofs.evidence import encode_evidence
from core.runtime.journal import StoredEffect
from queries import events
from queries.effects import Prove
from queries.gates import check_delivery_now
from queries.model import Proof, Request
from relayer.bridging import asked as store
from relayer.bridging.asked import Open
from relayer.bridging.queue import QuestionQueue

AT_ONCE: Final = 8
ACT_TIMEOUT_S: Final = 30.0
"""One try of one effect, or of one transaction."""
MAX_LEADS: Final = 3
"""Questions of one chain that are proven one after the other, until one has a height that the others can share: a chain
that does not answer holds no proven answer up for long."""

_Wanted = tuple[StoredEffect, Prove, Open]


class Proving:
    """Makes the proofs that the questions of one chain ask for."""

    def __init__(self, board: QueryBoard, prover: Prover, queue: QuestionQueue, timing: ChainTiming) -> None:
        self._board = board
        self._prover = prover
        self._queue = queue
        self._timing = timing

    async def prove_all(self, due: Iterable[StoredEffect], head: HeadUpdate) -> None:
        own, by_chain = list[_Wanted](), dict[ChainId, list[_Wanted]]()
        for one in await self._queue.paying(due):
            request = one[2].state.request
            if isinstance(parse_uri(request.uri).question, LASTING):
                own.append(one)  # what happened once is proven at a height of its own
            else:
                by_chain.setdefault(request.answering, []).append(one)
        lines = asyncio.Semaphore(AT_ONCE)

        async def prove(one: _Wanted, at: Height | None) -> Height | None:
            async with lines:
                return await self._prove(*one, at, head)

        async def chain(proofs: list[_Wanted]) -> None:
            at: Height | None = None
            for _ in range(min(MAX_LEADS, len(proofs))):
                if (at := await prove(proofs.pop(0), None)) is not None:
                    break
            await asyncio.gather(*(prove(one, at) for one in proofs))

        await asyncio.gather(*(prove(one, None) for one in own), *(chain(proofs) for proofs in by_chain.values()))

    async def _prove(
        self, effect: StoredEffect, asked: Prove, known: Open, at: Height | None, head: HeadUpdate
    ) -> Height | None:
        """Make and keep one proof; return the height that others can be proven at, too."""
        query, request = known.query, known.state.request
        try:
            async with asyncio.timeout(ACT_TIMEOUT_S):
                check_delivery_now(request, head.head.time, self._timing)
                if not await self._board.is_open(query.number):
                    raise NotYetFinalError(f"question {query.number} is answered or over: a block will show it")
                evidence = await self._proven(request, at)
        except FatalError:
            raise
        except (RetryableError, TimeoutError) as error:
            await self._queue.retry(effect, known, error)
        except RejectedError as error:
            self._queue.refused(known, error)
            late = isinstance(error, GateClosedError)
            event = events.NotProven(asked.sequence, error.message, never=late)
            await self._queue.settle(effect, known, event)
        except Exception as error:
            await self._queue.set_aside(effect, error)
        else:
            raw = encode_evidence(evidence)
            proof = Proof(evidence.as_of.block.height, hashlib.sha256(raw).digest())
            keep = partial(store.keep_proof, query_id=asked.query_id, proof=proof, evidence=raw)
            await self._queue.settle(effect, known, events.Proven(asked.sequence, proof), keep)
            return proof.height
        return None

    async def _proven(self, request: Request, at: Height | None) -> Evidence:
        """Evidence as of a height that the question admits, `at` if it does.

        Raise `NotYetFinalError` if there is none yet, `RejectedError` if there can be none.
        """
        question = parse_uri(request.uri).question
        evidence = await self._prover.prove(question, at if at is not None and request.admits(at) else None)
        if request.last is not None and evidence.as_of.block.height > request.last:
            evidence = await self._prover.prove(question, request.last)
        if evidence.as_of.block.height < request.first:
            raise NotYetFinalError(f"block {request.first} of {question.chain} cannot be proven yet")
        return evidence
