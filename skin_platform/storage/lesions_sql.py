"""The SQL of the lesions table: DDL, derivation from landed files, digests, all from the one schema.

Here: text. Not here: running it (``storage.lesions``), groups (``storage.grouping``).

Internal columns stand behind the declared ones: ``image_key`` and ``group_key`` are the first 64 bits of the SHA-256 and of the
group id (numbers of eight bytes are looked through ten times as fast as texts of 64), ``cluster_key`` is what all likeness
joins (another than the group's only where that was too much), ``revision`` is the change of the table that wrote the row last.
"""

import hashlib
from collections.abc import Sequence

from skin_platform.core.consent import NO_CONSENT, UNCLEAR
from skin_platform.core.fingerprints import BANDS_VERSION
from skin_platform.core.lesions import FILLED_LATER, KEY, LESIONS_DATA, MANIFEST_COLUMNS, Column

DECLARED = tuple(column.name for column in LESIONS_DATA)
COLUMNS = ", ".join(DECLARED)
KEYS = ", ".join(KEY)
IMAGE_KEY = "('0x' || sha256[1:16])::UBIGINT"
ORDER = "ORDER BY ingested_at, batch_id, file_id"
DERIVED = {"group_id": "''", "erased_at": "NULL", "exclusion": "NULL"}
INTERNAL = (Column("image_key", "UBIGINT", ""), Column("group_key", "UBIGINT", ""), Column("cluster_key", "UBIGINT", ""),
            Column("revision", "BIGINT", ""))


def _create(table: str, columns: Sequence[Column]) -> str:
    inner = ", ".join(f'"{column.name}" {column.type}' for column in columns)
    return f"CREATE TABLE IF NOT EXISTS metadata.{table} ({inner})"


TABLES = (
    "CREATE SCHEMA IF NOT EXISTS metadata",
    _create("landed_files", (*MANIFEST_COLUMNS, INTERNAL[0])),
    _create("lesions_data", (*LESIONS_DATA, *INTERNAL)),
    "CREATE TABLE IF NOT EXISTS metadata.batches (batch_id VARCHAR)",
    "CREATE TABLE IF NOT EXISTS metadata.removed (sha256 VARCHAR, label VARCHAR, revision BIGINT)",
    "CREATE TABLE IF NOT EXISTS metadata.resolutions "
    "(sha256 VARCHAR, label VARCHAR, labels VARCHAR[], who VARCHAR, why VARCHAR, resolved_at VARCHAR)",
    "CREATE TABLE IF NOT EXISTS metadata.links (link UBIGINT, image_key UBIGINT)",
    "CREATE TABLE IF NOT EXISTS metadata.fingerprints (image_key UBIGINT, fingerprint BLOB)",
    "CREATE TABLE IF NOT EXISTS metadata.bands (band UINTEGER, sketch UBIGINT, image_key UBIGINT, part BIGINT)",
    "CREATE TABLE IF NOT EXISTS metadata.sorted_bands (token VARCHAR, part BIGINT)",
    "CREATE TABLE IF NOT EXISTS metadata.near_duplicates (image_key UBIGINT, other_key UBIGINT, is_sure BOOLEAN)",
    # one row: which table this is (a rebuilt one is another) and how often it was changed
    "CREATE TABLE IF NOT EXISTS metadata.revisions (table_id VARCHAR, revision BIGINT)",
    "INSERT INTO metadata.revisions SELECT uuid()::VARCHAR, 0 WHERE NOT EXISTS (FROM metadata.revisions)",
    'CREATE TABLE IF NOT EXISTS metadata.label_sums (label VARCHAR, "rows" BIGINT, trainable BIGINT, '
    "content_high UBIGINT, content_low UBIGINT, trainable_high UBIGINT, trainable_low UBIGINT)",
)
LAYOUT = hashlib.sha256("\n".join((*TABLES, f"bands {BANDS_VERSION}")).encode()).hexdigest()[:16]
DDL = (*TABLES, "CREATE TABLE IF NOT EXISTS metadata.layout (layout VARCHAR)",
       f"INSERT INTO metadata.layout SELECT '{LAYOUT}' WHERE NOT EXISTS (FROM metadata.layout)")


def _text(names: Sequence[str]) -> str:
    """The values as one text that no other values give: separated by U+001F, U+001E where there is none."""
    return f"concat_ws(chr(31), {', '.join(f'coalesce({name}::VARCHAR, chr(30))' for name in names)})"


CONTENT = _text(DECLARED)
TRAINABLE = _text(("sha256", "label", "group_id"))
IS_TRAINABLE = "(exclusion IS NULL AND erased_at IS NULL)"


def sums(source: str) -> str:
    """SELECT of the rows, digests (two sums of 64-bit halves of MD5) and trainable ones of ``source`` by label.

    The digest of a set of rows is the sum of the digests of its rows modulo 2^64, half by half (MSet-Add-Hash, Clarke et al.
    2003): a change of a few rows costs those few. It notices a change; it is no proof against a forger.
    """
    usable = f" FILTER (WHERE {IS_TRAINABLE})"
    parts = [f"sum(md5_number_{half}({text})){where} AS {name}_{half}"
             for name, text, where in (("content", CONTENT, ""), ("trainable", TRAINABLE, usable))
             for half in ("upper", "lower")]
    return f'SELECT label, count(*) AS "rows", count(*){usable} AS trainable, {", ".join(parts)} FROM {source} GROUP BY label'


def derive() -> str:
    """SELECT that makes table rows of the landed files in ``delivered``: the first counts, later ones fill in gaps."""
    parts = []
    for name in DECLARED:
        if name in KEY:
            parts.append(name)
        elif name in DERIVED:
            parts.append(f"{DERIVED[name]}::VARCHAR AS {name}")
        else:
            present = f" FILTER (WHERE {name} IS NOT NULL)" if name in FILLED_LATER else ""
            parts.append(f"first({name} {ORDER}){present} AS {name}")
    return (f"SELECT {', '.join(parts)}, first(image_key) AS image_key, 0::UBIGINT AS group_key, "
            f"0::UBIGINT AS cluster_key, 0::BIGINT AS revision FROM delivered GROUP BY {KEYS}")


# A person may decide for a label that nobody delivered: then a row with it stands beside the delivered ones.
CORRECT = """
INSERT INTO after BY NAME
SELECT one.* REPLACE (r.label AS label)
FROM (SELECT * FROM after QUALIFY row_number() OVER (PARTITION BY sha256 ORDER BY ingested_at, batch_id, label) = 1) one
JOIN metadata.resolutions r ON r.sha256 = one.sha256
JOIN (SELECT sha256, list(label) AS labels FROM after GROUP BY sha256) found ON found.sha256 = one.sha256
WHERE NOT list_contains(found.labels, r.label) AND list_has_all(r.labels, found.labels)
"""

# A person's decision holds for the labels that were known to that person; another label makes a new conflict.
EXCLUDE = """
UPDATE after SET exclusion = CASE
    WHEN r.label IS NULL THEN 'conflict'
    WHEN r.label <> after.label THEN 'overruled'
END
FROM (SELECT sha256, list(label) AS labels FROM after GROUP BY sha256) found
LEFT JOIN metadata.resolutions r ON r.sha256 = found.sha256 AND list_has_all(r.labels, found.labels)
WHERE found.sha256 = after.sha256 AND (len(found.labels) > 1 OR r.label IS NOT NULL)
"""

# After all other exclusions, since it wins over them. Parameters: the words that renew, those that refuse, those that give.
# Consent is the person's, so it holds for the image under every label. A refusal stands until a later delivery renews consent
# in so many words: a later yes may come from a list that is older than the refusal. Else the last value delivered decides.
CONSENT = f"""
WITH said AS (
    SELECT sha256, consent, file_id, concat_ws(' ', ingested_at, batch_id) AS moment, lower(trim(consent)) AS word,
           list_contains(?, word) AS renews, list_contains(?, word) AS refuses, renews OR list_contains(?, word) AS gives
    FROM delivered WHERE consent IS NOT NULL),
deciding AS (
    SELECT sha256, max(moment) FILTER (WHERE refuses) AS refused_at, max(moment) FILTER (WHERE renews) AS renewed_at,
           refused_at IS NOT NULL AND coalesce(refused_at >= renewed_at, TRUE) AS is_refused,
           arg_max(consent, (moment, file_id)) FILTER (WHERE refuses) AS refusal,
           arg_max(consent, (moment, NOT gives, file_id)) AS last_said, arg_max(gives, (moment, NOT gives, file_id)) AS is_given
    FROM said GROUP BY sha256)
UPDATE after SET
    consent = CASE WHEN is_refused THEN refusal ELSE last_said END,
    exclusion = CASE WHEN is_refused THEN '{NO_CONSENT}' WHEN NOT is_given THEN '{UNCLEAR}' ELSE exclusion END
FROM deciding WHERE deciding.sha256 = after.sha256
"""
