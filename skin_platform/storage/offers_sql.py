"""The SQL of what the catalogue offers to a dataset.

Here: text. Not here: running it (``storage.catalogue``), what is made of the answer (``storage.candidates``).
"""

from skin_platform.storage.lesions_sql import KEYS, TRAINABLE


def trainable_sums(source: str) -> str:
    """``lesions_sql.sums`` of rows that may all be trained on, without the digest of their content: three columns do."""
    halves = ", ".join(f"sum(md5_number_{half}({TRAINABLE}))" for half in ("upper", "lower"))
    return f"SELECT label, count(*), count(*), 0, 0, {halves} FROM {source} GROUP BY label"


def offered(is_usable: str) -> str:
    """SELECT of what a dataset is made of: the usable images, and those of ``assigned`` that are usable no more."""
    return f"""
WITH offered AS (SELECT sha256, label, group_id, split, s3_uri, {is_usable} AS is_usable FROM lesions_data),
     usable AS (SELECT * FROM offered WHERE is_usable),
     kept_out AS (SELECT DISTINCT ON (sha256) * FROM offered SEMI JOIN assigned USING (sha256) ANTI JOIN usable USING (sha256))
SELECT rows.*, assigned.split AS previous
FROM (FROM usable UNION ALL FROM kept_out) rows LEFT JOIN assigned USING (sha256) ORDER BY {KEYS}
"""
