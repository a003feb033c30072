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
from core.model.questions import Evidence, LogQuestion
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


class Proving:
    """Makes the proofs that the questions of one chain ask for."""

    def __init__(self, board: QueryBoard, prover: Prover, queue: QuestionQueue, timing: ChainTiming) -> None:
        self._board = board
        self._prover = prover
        self._queue = queue
        self._timing = timing

    async def prove_all(self, due: Iterable[StoredEffect], head: HeadUpdate) -> None:
        by_chain: dict[ChainId, list[tuple[StoredEffect, Prove, Open]]] = {}
        for effect, asked, known in await self._queue.paying(due):
            by_chain.setdefault(known.state.request.answering, []).append((effect, asked, known))
        lines = asyncio.Semaphore(AT_ONCE)

        async def prove(one: tuple[StoredEffect, Prove, Open], at: Height | None) -> Height | None:
            async with lines:
                return await self._prove(*one, at, head)

        async def chain(proofs: list[tuple[StoredEffect, Prove, Open]]) -> None:
            at: Height | None = None
            while proofs and at is None:
                at = await prove(proofs.pop(0), None)
            await asyncio.gather(*(prove(one, at) for one in proofs))

        await asyncio.gather(*(chain(proofs) for proofs in by_chain.values()))

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
            return None if isinstance(evidence.question, LogQuestion) else proof.height
        return None

    async def _proven(self, request: Request, at: Height | None) -> Evidence:
        """Evidence as of a height that the question admits, `at` if it does.

        Raise `NotYetFinalError` if there is none yet, `RejectedError` if there can be none.
        """
        question = parse_uri(request.uri).question
        if at is not None and (not request.admits(at) or isinstance(question, LogQuestion)):
            at = None
        evidence = await self._prover.prove(question, at)
        if request.last is not None and evidence.as_of.block.height > request.last:
            evidence = await self._prover.prove(question, request.last)
        if evidence.as_of.block.height < request.first:
            raise NotYetFinalError(f"block {request.first} of {question.chain} cannot be proven yet")
        return evidence
