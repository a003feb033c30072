"""The schema's version is the name of its newest revision; until now it was the number 1 in a table of ours."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.drop_table("schema_version")
