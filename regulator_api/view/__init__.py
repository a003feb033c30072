"""The data as one caller may see it, as it stood at one moment. No other part of this room selects from the index.

Two conditions go into every query here. *As of*: blocks above the height of their chain do not exist. *Scope*: a row
exists if one of its parties belongs to one of the caller's jurisdictions, by a tag or by the entity that a tag names;
accounts that belong to none exist for callers without restriction only. So counts, sums and the time that an answer
takes are those of the rows that the caller may see.
"""

from regulator_api.view.base import View
from regulator_api.view.moment import AsOf, as_of

__all__ = ["AsOf", "View", "as_of"]
