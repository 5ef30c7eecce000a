"""Changes between two manifests of datasets: added, removed, relabelled, regrouped, moved, by count with examples.

Here: comparing. Not here: which versions are meant (``storage.datasets``), showing it (``commands.datasets``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
import pyarrow as pa

EXAMPLES = 5

# An image is regrouped where its group was parted or joined with another; where all of it got another id, it is renamed.
PAIRS = """
CREATE TEMP TABLE pairs AS
SELECT old.sha256, old.label AS old_label, new.label AS new_label, old.group_id AS old_group, new.group_id AS new_group,
       old.split AS old_split, new.split AS new_split FROM old JOIN new USING (sha256);
CREATE TEMP TABLE links AS SELECT DISTINCT old_group, new_group FROM pairs;
CREATE TEMP TABLE parted AS SELECT old_group FROM links GROUP BY old_group HAVING count(*) > 1;
CREATE TEMP TABLE joined AS SELECT new_group FROM links GROUP BY new_group HAVING count(*) > 1;
"""
IS_REGROUPED = "(old_group IN (FROM parted) OR new_group IN (FROM joined))"
KINDS = {
    "added": "SELECT sha256, '' AS was, label || ', ' || split AS is_now, 'in ' || split AS way "
             "FROM new ANTI JOIN old USING (sha256)",
    "removed": "SELECT sha256, label || ', ' || split AS was, '' AS is_now, 'from ' || split AS way "
               "FROM old ANTI JOIN new USING (sha256)",
    "relabelled": "SELECT sha256, old_label AS was, new_label AS is_now, old_label || ' to ' || new_label AS way FROM pairs "
                  "WHERE old_label <> new_label",
    "regrouped": "SELECT sha256, old_group AS was, new_group AS is_now, CASE WHEN new_group IN (FROM joined) THEN 'joined' "
                 f"ELSE 'parted' END AS way FROM pairs WHERE {IS_REGROUPED}",
    "renamed_groups": "SELECT sha256, old_group AS was, new_group AS is_now, 'same images, another id' AS way FROM pairs "
                      f"WHERE old_group <> new_group AND NOT {IS_REGROUPED}",
    "moved": "SELECT sha256, old_split AS was, new_split AS is_now, old_split || ' to ' || new_split AS way FROM pairs "
             "WHERE old_split <> new_split",
}


@dataclass(frozen=True)
class Change:
    """Images that changed in one way: how many, how many by ``ways``, and the first of them as (sha256, was, is_now)."""

    kind: str
    images: int
    ways: Mapping[str, int]
    examples: tuple[Mapping[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def compare(old: pa.Table, new: pa.Table) -> list[Change]:
    """What is otherwise in the manifest ``new`` than in ``old``; one entry a kind, also where nothing is."""
    with duckdb.connect() as db:
        db.register("old", old)
        db.register("new", new)
        db.execute(PAIRS)
        return [_change(db, kind, sql) for kind, sql in KINDS.items()]


def unruly_moves(
    old: pa.Table, new: pa.Table, moves: pa.Table, order: Sequence[str], aliases: Mapping[str, str]
) -> list[dict[str, str]]:
    """Images of ``old`` that are in another split of ``new`` against the rule: sha256, was, is_now, why.

    The rule: towards the more held-out split (``order``), and on record in ``moves``. ``aliases``: splits by former names.
    """
    ranks = pa.table({"split": list(order), "rank": range(len(order))})
    names = pa.table({"alias": list(aliases), "name": list(aliases.values())})
    sql = """
    WITH renamed AS (SELECT sha256, coalesce(name, split) AS was FROM old LEFT JOIN names ON alias = lower(split)),
         changed AS (SELECT sha256, was, new.split AS is_now FROM renamed JOIN new USING (sha256) WHERE was <> new.split)
    SELECT sha256, was, is_now, CASE WHEN n.rank > o.rank THEN 'not on record' ELSE 'to a less held-out split' END AS why
    FROM changed LEFT JOIN ranks o ON o.split = was LEFT JOIN ranks n ON n.split = is_now
    WHERE NOT coalesce(n.rank > o.rank, false) OR sha256 NOT IN (SELECT sha256 FROM moves)
    ORDER BY sha256
    """
    with duckdb.connect() as db:
        for name, table in (("old", old), ("new", new), ("moves", moves), ("ranks", ranks), ("names", names)):
            db.register(name, table)
        found: list[dict[str, str]] = db.execute(sql).to_arrow_table().to_pylist()
        return found


def _change(db: duckdb.DuckDBPyConnection, kind: str, sql: str) -> Change:
    db.execute(f"CREATE OR REPLACE TEMP TABLE change AS {sql}")
    ways = dict(db.execute("SELECT way, count(*) FROM change GROUP BY way ORDER BY count(*) DESC, way").fetchall())
    first = db.execute(f"SELECT sha256, was, is_now FROM change ORDER BY sha256 LIMIT {EXAMPLES}").to_arrow_table().to_pylist()
    return Change(kind, sum(ways.values()), ways, tuple(first))
