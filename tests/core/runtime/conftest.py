"""Fixtures that tests of the runtime share."""

import io

import pytest

from core.runtime.logging import configure_logging


@pytest.fixture
def lines() -> io.StringIO:
    """The log at info, as JSON lines."""
    stream = io.StringIO()
    configure_logging("info", "json", stream)
    return stream
