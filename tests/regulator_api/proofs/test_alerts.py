"""Alerts with evidence carry the bundles that raise them again."""

from core.runtime.database import InlineDatabase
from tests.regulator_api.api import Api
from tests.regulator_api.proofs.documents import document_of, refusal, verified
from tests.regulator_api.rules.test_routes import filled

__all__ = ["filled"]  # a fixture


async def test_alerts_carry_what_raises_them_again(filled: tuple[InlineDatabase, Api]) -> None:
    _, api = filled
    listed = await api.ask("/v1/alerts?limit=3&evidence=true", "analyst")
    assert len(listed.body["proof"]["bundles"]) == 3
    assert "3 bundles give the same again" in verified(listed.raw).shows
    assert (await api.ask("/v1/alerts?limit=200&evidence=true", "analyst")).status == 422
    raw = (await api.ask(f"/v1/alerts/{listed.body['items'][0]['id']}?evidence=true", "analyst")).raw
    assert verified(raw).kind == "answer"
    one = document_of(raw)
    for at, value in (
        ("/alert/subject", "somebody else"),
        ("/alert/explanation", "nothing happened"),
        ("/alert/observations", 99),
        ("/alert/moves/0/height", 1),
        ("/alert/id", "ab" * 16),
        ("/proof/bundles", []),
    ):
        assert refusal(one, at, value), at
    assert refusal(document_of(listed.raw), "/items/1/figures", {})
