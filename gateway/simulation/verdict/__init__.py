"""After a story: what went wrong. Made of the chains and of what was sent, by plain code of its own.

chains      locks and blocks as the chains have them         money       who paid and was not paid, fees, limits
gates       what had to hold when bytes first left            ends        loose ends: locks, effects, journals
"""
