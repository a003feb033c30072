"""A verifier reads what strangers hand it: it refuses in its own words, whatever is in a document."""

import contextlib
import copy
import json
import random
from typing import Any

import pytest

from core.model.errors import RejectedError
from regulator_api import bundles
from regulator_api.proofs.answers import MAX_ANSWER_BYTES, PREFIX
from regulator_api.sealing import digest_of
from tests.indexer.world import World
from tests.regulator_api.api import Api
from tests.regulator_api.proofs.documents import JUNK, document_of, places
from tests.regulator_api.proofs.test_every_route import api, fill, with_evidence, world

__all__ = ["api", "world"]  # fixtures


def _resealed(document: Any) -> bytes:
    """The document as bytes, with a digest that fits if it can have one."""
    proof = document.get("proof")
    if isinstance(proof, dict):
        bare = {**document, "proof": {name: one for name, one in proof.items() if name != "digest"}}
        with contextlib.suppress(RejectedError):
            document = {**document, "proof": {**proof, "digest": digest_of(bare, PREFIX)}}
    return json.dumps(document).encode()


async def test_garbage_in_an_answer_is_refused_in_words(world: World, api: Api) -> None:
    chance, refused = random.Random(7), 0
    for route, path in (await fill(world, api)).items():
        answer = await api.ask(with_evidence(path), "developer", headers={"X-Purpose": "t", "X-Case": "1"})
        whole = document_of(answer.raw)
        everywhere = list(places(whole))
        for at in chance.sample(everywhere, min(25, len(everywhere))):
            made = copy.deepcopy(whole)
            *steps, last = [int(one) if one.isdigit() else one for one in at.strip("/").split("/")]
            inner = made
            for step in steps:
                inner = inner[step]
            if isinstance(inner, list) and isinstance(last, str):
                continue
            inner[last] = chance.choice(JUNK)
            try:
                bundles.verify(_resealed(made))
            except RejectedError:
                refused += 1
            except Exception as error:
                raise AssertionError(f"{route} at {at}: {inner[last]!r} raises {error!r}") from error
    assert refused > 300


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"proof": {"kind": "answer"}}',
        b'{"proof": {"kind": "answer"}, "proof": {"kind": "answer"}}',
        b'{"proof": ' * 5_000,
        b'{"kind": "figure", "version": 1, "digest": "", "x": "\\ud800"}',
        b'{"kind": "figure", "version": 1, "x": 1e999}',
        b" " * (MAX_ANSWER_BYTES + 1),
    ],
    ids=["empty", "list", "no-proof", "twice", "deep", "surrogate", "infinite", "large"],
)
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(RejectedError):
        bundles.verify(raw)
