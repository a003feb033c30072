"""The liquidity provider: quotes, openings of swaps, and what is shown of them."""
