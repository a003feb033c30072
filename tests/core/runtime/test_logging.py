"""Logs hide secrets; metrics live in their own registry."""

import io
import json
import logging

import pytest

from core.model.types import Preimage
from core.runtime.logging import HIDDEN, get_logger, printable
from core.runtime.metrics import Metrics


def test_a_message_is_one_json_line_with_its_fields(lines: io.StringIO) -> None:
    get_logger("relayer", chain="eip155:1").info("effect done", tx_hash=b"\x01\xff", amount=10**30)
    get_logger("relayer").debug("not logged at this level")
    (line,) = lines.getvalue().splitlines()
    told = json.loads(line)
    told.pop("timestamp")
    assert told == {
        "event": "effect done",
        "level": "info",
        "source": "relayer",
        "chain": "eip155:1",
        "tx_hash": "0x01ff",
        "amount": 10**30,
    }


@pytest.mark.parametrize(
    "name",
    ["preimage", "private_key", "privateKey", "api_key", "X-Api-Key", "password", "db_password", "Authorization"],
)
def test_secrets_are_hidden_at_any_depth(lines: io.StringIO, name: str) -> None:
    get_logger("x").warning("noted", **{name: "hunter2"}, inner={"list": [{name: b"hunter2"}]})
    assert "hunter2" not in lines.getvalue()
    assert b"hunter2".hex() not in lines.getvalue()
    assert lines.getvalue().count(HIDDEN) == 2


def test_preimage_is_hidden_under_any_name_a_public_one_is_shown(lines: io.StringIO) -> None:
    get_logger("x").info("noted", body=Preimage(b"\x41" * 32), public_preimage=b"\x42" * 32)
    assert "41" * 8 not in lines.getvalue()
    assert "A" * 8 not in lines.getvalue()
    assert "42" * 32 in lines.getvalue()


def test_passwords_in_urls_are_hidden_in_libraries_logs_too(lines: io.StringIO) -> None:
    logging.getLogger("library").error("cannot reach %s", "postgresql://user:hunter2@host/db")
    told = json.loads(lines.getvalue())
    assert told["event"] == f"cannot reach postgresql://{HIDDEN}@host/db"
    assert told["source"] == "library"


def test_fields_are_bounded() -> None:
    assert len(printable("x" * 10_000)) == 2_000
    assert len(printable(list(range(1_000)))) == 50
    nested: list[object] = []
    nested.append(nested)
    assert isinstance(printable(nested), list)


def test_same_metric_is_the_same_object_another_kind_is_refused() -> None:
    metrics = Metrics()
    metrics.counter("swaps_total", "Swaps", ["outcome"]).labels("claimed").inc()
    metrics.counter("swaps_total", "Swaps", ["outcome"]).labels("claimed").inc(2)
    metrics.gauge("lag", "Lag").set(4)
    metrics.histogram("step_seconds", "Steps").observe(0.3)
    assert metrics.value("swaps_total", outcome="claimed") == 3
    text, content_type = metrics.exposition()
    assert b'causeway_swaps_total{outcome="claimed"} 3.0' in text
    assert b'causeway_step_seconds_bucket{le="0.5"} 1.0' in text
    assert content_type.startswith("text/plain")
    with pytest.raises(TypeError, match="is a Gauge"):
        metrics.counter("lag", "Lag")
    assert Metrics().value("swaps_total", outcome="claimed") is None
