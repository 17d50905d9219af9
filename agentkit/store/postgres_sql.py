"""What PostgreSQL is told: the schema as an ordered list of migrations, and the statements."""

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

# FOR SHARE: a take-over waits until this append is in, or this append sees that it came first.
HELD = (
    "held AS (SELECT 1 FROM agentkit_claims WHERE run_id = %(run)s AND owner = %(owner)s"
    " AND epoch = %(epoch)s FOR SHARE)"
)
INSERT = (
    "INSERT INTO agentkit_events SELECT %(run)s, * FROM"
    " unnest(%(seq)s::int[], %(at)s::text[], %(kind)s::text[], %(version)s::int[],"
    " %(body)s::text[])"
    " WHERE (SELECT coalesce(max(seq), -1) + 1 FROM agentkit_events WHERE run_id = %(run)s)"
    " = %(expect)s"
)
# One event, the ordinary case, where this store appended last: the key alone, unique, tells whether
# another writer was here.
APPEND_NEXT: LiteralString = "INSERT INTO agentkit_events VALUES (%s, %s, %s, %s, %s, %s)"
APPEND_NEXT_HELD: LiteralString = (
    "INSERT INTO agentkit_events SELECT %s, %s, %s, %s, %s, %s FROM (SELECT FROM agentkit_claims"
    " WHERE run_id = %s AND owner = %s AND epoch = %s FOR SHARE) AS held"
)
APPEND: LiteralString = INSERT
APPEND_HELD: LiteralString = f"WITH {HELD} {INSERT} AND EXISTS (SELECT FROM held)"
CLAIM: LiteralString = """
INSERT INTO agentkit_claims
SELECT %(run)s, %(owner)s, 1, clock_timestamp() + wanted, wanted
FROM make_interval(secs => %(seconds)s) AS wanted
WHERE EXISTS (SELECT FROM agentkit_events WHERE run_id = %(run)s)
ON CONFLICT (run_id) DO UPDATE
SET owner = excluded.owner, epoch = agentkit_claims.epoch + 1,
    until = excluded.until, lease = excluded.lease
WHERE agentkit_claims.owner IS NULL OR agentkit_claims.until <= clock_timestamp()
   OR agentkit_claims.until > clock_timestamp() + agentkit_claims.lease
RETURNING epoch
"""
RUNS: LiteralString = """
WITH RECURSIVE newest(id) AS (
  (SELECT max(run_id) FROM agentkit_events)
  UNION ALL
  SELECT (SELECT max(run_id) FROM agentkit_events WHERE run_id < id) FROM newest
  WHERE id IS NOT NULL)
SELECT first.run_id, first.at, last.seq + 1, last.kind, last.at
FROM (SELECT id FROM newest WHERE id IS NOT NULL LIMIT %s) AS listed
JOIN agentkit_events AS first ON first.run_id = id AND first.seq = 0
JOIN agentkit_events AS last ON last.run_id = id
  AND last.seq = (SELECT max(seq) FROM agentkit_events WHERE run_id = id)
ORDER BY first.run_id DESC
"""
FIRST_BODIES: LiteralString = (
    "SELECT kind, version, body FROM agentkit_events WHERE run_id = %s AND seq < 9"
    " AND kind IN ('run_started', 'user_message') ORDER BY seq"
)
SWEEP: LiteralString = """
WITH gone AS (
  DELETE FROM agentkit_blobs WHERE at <= clock_timestamp() - make_interval(secs => %s)
  AND NOT EXISTS (SELECT FROM agentkit_events WHERE position(sha256 IN body) > 0)
  RETURNING length(data))
SELECT coalesce(sum(length), 0) FROM gone
"""
