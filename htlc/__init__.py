"""The swap itself: pure state machine, timelocks and engine."""
