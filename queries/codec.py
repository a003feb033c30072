"""The query's states, events and effects as bytes (`core.model.codecs`)."""

from typing import Final

from core.model.codecs import Codec
from queries.effects import QueryEffect
from queries.events import QueryEvent
from queries.model import QueryState

QUERIES: Final[Codec[QueryState, QueryEvent, QueryEffect]] = Codec("query", QueryState, QueryEvent, QueryEffect)

encode = QUERIES.encode
decode_state = QUERIES.decode_state
decode_effect = QUERIES.decode_effect
