"""The PostgreSQL schema as an ordered list of migrations, each some statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import LiteralString

# Bodies are text, not jsonb: what was written comes back byte for byte, and jsonb refuses \u0000.
_FIRST: Sequence[LiteralString] = (
    """CREATE TABLE agentkit_events (
         run_id text COLLATE "C" NOT NULL, seq int NOT NULL, at text NOT NULL,
         kind text NOT NULL, version int NOT NULL, body text NOT NULL,
         PRIMARY KEY (run_id, seq))""",
    """CREATE TABLE agentkit_blobs (
         sha256 text COLLATE "C" PRIMARY KEY, data bytea NOT NULL, at timestamptz NOT NULL)""",
)

# A released claim keeps its row without an owner: epochs only grow.
_CLAIMS: Sequence[LiteralString] = (
    """CREATE TABLE agentkit_claims (
         run_id text COLLATE "C" PRIMARY KEY, owner text, epoch int NOT NULL,
         until timestamptz NOT NULL, lease interval NOT NULL)""",
)

# Append only: a database made by any earlier agentkit is brought forward from where it stands.
MIGRATIONS: Sequence[Sequence[LiteralString]] = (_FIRST, _CLAIMS)
