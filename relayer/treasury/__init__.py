"""An operator's money in hand: what of it is free, and how it is taken out while swaps go on."""
