"""The logs of a daemon, as its command line and its configuration ask for them."""

from core.model.errors import RejectedError
from core.runtime.logging import FORMATS, LEVELS, Format, Level, configure_logging
from gateway.config.faults import choices


def start_logging(level: str | None, form: str | None, as_json: bool, configured: Level = "info") -> None:
    """Log to standard error. `level` and `form` are the command line's; `configured` is the file's level.

    Raise `RejectedError` for one that does not exist.
    """
    configure_logging(level_of(level) or configured, form_of(form) or ("json" if as_json else "console"))


def level_of(text: str | None) -> Level | None:
    """Raise `RejectedError` for a level that does not exist."""
    for level in LEVELS:
        if level == text:
            return level
    if text is not None:
        raise RejectedError(f"--log-level {text[:40]!r} is not a level: {choices(text, LEVELS)}")
    return None


def form_of(text: str | None) -> Format | None:
    """Raise `RejectedError` for a format that does not exist."""
    for form in FORMATS:
        if form == text:
            return form
    if text is not None:
        raise RejectedError(f"--log-format {text[:40]!r} is not a format: {choices(text, FORMATS)}")
    return None
