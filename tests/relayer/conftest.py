"""Quiet logs: deaths that a test orders are not logged."""

import io

import pytest

from core.runtime.logging import configure_logging


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    configure_logging("error", stream=io.StringIO())
