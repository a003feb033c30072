"""Swaps name our accounts that they need: of several on one chain each ends its own."""

import sqlalchemy as sa
from alembic import op

from core.runtime.migrations import has

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    if has("relayer_swaps"):
        for name in ("initiator_payer", "participant_payer"):
            op.add_column("relayer_swaps", sa.Column(name, sa.Text))
