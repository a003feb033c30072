"""After a story: what went wrong. Made of the chains and of what was sent, by plain code of its own.

chains    locks and blocks as the chains have them      money     who paid and was not paid
gates     what had to hold when bytes first left        limits    fees, stakes, purses, sequences, expiries
ends      loose ends: locks, pairs that did not meet    machines  states, effects and journals
secrets   preimages that somebody knew too early        problem   what can be wrong, by kind
exits     sent in time, and again                 indexed   what parties have read of the chains
ceilings  what is offered at most                 top_ups   purses that are filled
judge     all of them
"""
