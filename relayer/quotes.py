"""The former place of `relayer.provider.quoting`, for programs that import it; it goes with 0.2."""

from relayer.provider.quoting import Pair, Quote, QuoteRequest, Rate, sign_quote, verify_quote

__all__ = ["Pair", "Quote", "QuoteRequest", "Rate", "sign_quote", "verify_quote"]
