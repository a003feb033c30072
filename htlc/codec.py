"""The swap's states, events and effects as bytes (`core.model.codecs`)."""

from typing import Final

from core.model.codecs import Codec
from htlc.effects import SwapEffect
from htlc.events import SwapEvent
from htlc.model import SwapState

SWAPS: Final[Codec[SwapState, SwapEvent, SwapEffect]] = Codec("swap", SwapState, SwapEvent, SwapEffect)

encode = SWAPS.encode
decode_state = SWAPS.decode_state
decode_event = SWAPS.decode_event
decode_effect = SWAPS.decode_effect
