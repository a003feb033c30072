"""Everything that is wrong with a configuration, collected before anybody is bothered with the first of it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Final

from core.model.errors import CausewayError, RejectedError

MAX_FAULTS: Final = 100
"""The most faults that are shown; a file with more is not a configuration."""
SHOWN_CHARS: Final = 80
LEAST_HIDDEN: Final = 6
"""The fewest first characters of a secret that are hidden, too."""
NAMED: Final = 12
"""How many possibilities a sentence lists."""


class Faults:
    """Sentences with their places, such as `chains[0].timing.finality_s`, in the order in which they were found."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._hidden: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def hide(self, secret: str, shown_as: str) -> None:
        """Show `shown_as` for this secret in every sentence, and for a part of it that a sentence was cut to."""
        self._hidden[secret] = shown_as

    def add(self, place: str, sentence: str) -> None:
        fault = f"{place}: {self._without_secrets(sentence)}"
        if len(self._found) < MAX_FAULTS and fault not in self._found:
            self._found.append(fault)

    def _without_secrets(self, sentence: str) -> str:
        for secret, shown_as in self._hidden.items():
            for length in range(len(secret), min(len(secret), LEAST_HIDDEN) - 1, -1):
                sentence = sentence.replace(secret[:length], shown_as)
        return sentence

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """A `CausewayError` that is raised inside becomes a fault of `place`."""
        try:
            yield
        except CausewayError as error:
            self.add(place, error.message)

    def raise_any(self, where: str) -> None:
        """Raise `RejectedError` with all of them, if there is any; `where` names the file."""
        if not self._found:
            return
        if len(self._found) == 1:
            raise RejectedError(f"{where}: {self._found[0]}")
        lines = "".join(f"\n  {fault}" for fault in self._found)
        raise RejectedError(f"{where} has {len(self._found)} faults:{lines}")


def shown(text: str) -> str:
    """A value of the file in a sentence: quoted, and cut."""
    return ascii(text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}...")


def choices(text: str, known: Iterable[str]) -> str:
    """`did you mean x?`, or what there is to choose from."""
    names = list(dict.fromkeys(known))
    if near := get_close_matches(text, names, 1, 0.6):
        return f"did you mean {near[0]}?"
    listed = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return f"use one of {listed}" if names else "there are none to choose from"
