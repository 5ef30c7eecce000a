"""Profiles: what a dataset version looks like, counted by the catalogue over its images.

Here: the questions, in SQL, answered at one revision and without a Python object a row. Not here: pictures and the UI
(``defs.datasets``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from skin_platform.storage.catalogue import Catalogue

YEARS = "try_cast(age AS DOUBLE)"
SUBGROUPS = {  # by column of the catalogue: the value that counts; ages in bands, the rest as delivered
    "age": f"CASE WHEN {YEARS} >= 80 THEN '80 and over' WHEN {YEARS} >= 0 THEN "
           f"printf('%d to %d', 20 * floor({YEARS} / 20)::INT, 20 * floor({YEARS} / 20)::INT + 19) END",
    "sex": "sex", "site": "site", "skin_type": "skin_type",
}
MEASURES = {  # by column: what the axis says, and the value that is shown
    "shorter_side": ("shorter side, px", "least(width_px, height_px)"), "bytes": ("size, kB", "bytes / 1000"),
    "sharpness": ("sharpness, log10", "log10(greatest(sharpness, 0.01))"), "exposure": ("exposure", "exposure"),
    "blank_share": ("blank share", "blank_share"),
}
SHOWN_VALUES = 10  # of a subgroup column; rarer ones are counted together
BINS = 60
NOT_GIVEN = "(not given)"

GROUPS = """
SELECT count(*) FILTER (WHERE images > 1) AS several_images, coalesce(max(images), 0) AS largest,
       count(*) FILTER (WHERE patients > 1) AS several_patients,
       coalesce(sum(images) FILTER (WHERE patients > 1), 0)::BIGINT AS images_of_several_patients,
       count(*) FILTER (WHERE labels > 1) AS several_labels
FROM (SELECT group_id, count(*) AS images, count(DISTINCT patient_id) AS patients, count(DISTINCT label) AS labels
      FROM images GROUP BY group_id)
"""


@dataclass(frozen=True)
class Histogram:
    """Images of one measure by ``series`` (a split or a label) in ``BINS`` equal bins from ``low`` to ``high``; what lies
    outside is in the first and last bin."""

    measure: str
    low: float
    high: float
    series: Mapping[str, tuple[int, ...]]


class Profiler:
    """Questions about one manifest (sha256, label, group_id, split), whose images the catalogue is asked for once."""

    def __init__(self, catalogue: Catalogue, manifest: pa.Table) -> None:
        values = ", ".join(f"{value} AS {name}" for name, value in (
            *SUBGROUPS.items(), *((name, f"({value})::DOUBLE") for name, (_, value) in MEASURES.items())))
        found = catalogue.query(f"SELECT m.label, m.split, m.group_id, patient_id, {values} "
                                "FROM manifest m JOIN lesions_data USING (sha256, label)", tables={"manifest": manifest})
        if found is None:
            raise ValueError("the catalogue is empty: no dataset can be described by it")
        self._images = found

    def subgroups(self, columns: Iterable[str]) -> list[dict[str, Any]]:
        """Images by column, value and split, for those of ``SUBGROUPS`` in ``columns`` that any image has a value of."""
        found: list[dict[str, Any]] = []
        for column in [name for name in SUBGROUPS if name in columns]:
            rows = self._asked(f"""
                WITH ranked AS (SELECT {column}, row_number() OVER (ORDER BY count(*) DESC, {column}) AS place FROM images
                                WHERE {column} IS NOT NULL GROUP BY {column})
                SELECT '{column}' AS column, CASE WHEN {column} IS NULL THEN '{NOT_GIVEN}' WHEN place <= {SHOWN_VALUES}
                       THEN {column} ELSE '(others)' END AS value, split, count(*) AS images
                FROM images LEFT JOIN ranked USING ({column}) GROUP BY ALL ORDER BY value, split""")
            if any(row["value"] != NOT_GIVEN for row in rows):
                found += rows
        return found

    def histograms(self, by: str) -> list[Histogram]:
        """The distribution of each of ``MEASURES`` by ``split`` or ``label``; measures without values are left out."""
        return [found for name in MEASURES if (found := self._histogram(name, by))]

    def groups(self) -> dict[str, int]:
        """Groups of several images, the largest, those of several patients (joined by pictures) or labels."""
        [found] = self._asked(GROUPS)
        return found

    def _histogram(self, name: str, by: str) -> Histogram | None:
        rows = self._asked(f"""
            WITH valued AS (SELECT {by} AS series, {name} AS value FROM images WHERE isfinite({name})),
                 ends AS (SELECT quantile_cont(value, 0.005) AS low, quantile_cont(value, 0.995) AS high FROM valued)
            SELECT low, high, series, CASE WHEN high > low THEN
                   least({BINS - 1}, greatest(0, floor((value - low) / (high - low) * {BINS})))::INT ELSE 0 END AS bin,
                   count(*) AS images FROM valued, ends GROUP BY ALL ORDER BY series, bin""")
        if not rows:
            return None
        counts: dict[str, list[int]] = {row["series"]: [0] * BINS for row in rows}
        for row in rows:
            counts[row["series"]][row["bin"]] = row["images"]
        return Histogram(name, rows[0]["low"], rows[0]["high"], {series: tuple(bins) for series, bins in counts.items()})

    def _asked(self, sql: str) -> list[dict[str, Any]]:
        with duckdb.connect() as db:
            db.register("images", self._images)
            found: list[dict[str, Any]] = db.execute(sql).to_arrow_table().to_pylist()
            return found
