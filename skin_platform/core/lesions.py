"""The lesions table: its one schema, from which the DDL, the Parquet manifests, the UI and the checks come.

An image has one reason to be kept out at a time: erased (``erased_at``), then no consent, then consent unclear, then a
conflict, then overruled. What no person can decide for another comes first: a decision on labels lifts no refusal.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column: name, DuckDB type and the sentence that the UI shows."""

    name: str
    type: str
    description: str


LESIONS_DATA = (
    Column("url_source", "VARCHAR", "Where the image came from: `landing://BATCH/FILE_ID`; never the original name"),
    Column("s3_uri", "VARCHAR", "The object that holds the image: `s3://BUCKET/skin/SPLIT/LABEL/SHA256.EXT`"),
    Column("label", "VARCHAR", "The label as delivered"),
    Column("split", "VARCHAR", "The split as delivered; empty where the delivery gave none (datasets decide then)"),
    Column("sha256", "VARCHAR", "SHA-256 of the stored bytes (cleaned: upright, without metadata), hex"),
    Column("bytes", "BIGINT", "Size of the stored object in bytes"),
    Column("patient_id", "VARCHAR", "Keyed pseudonym of the patient"),
    Column("lesion_id", "VARCHAR", "Keyed pseudonym of the lesion"),
    Column("group_id", "VARCHAR", "Images with one group id show the same patient, lesion or bytes; never split"),
    Column("width_px", "INTEGER", "Width in pixels as displayed"),
    Column("height_px", "INTEGER", "Height in pixels as displayed"),
    Column("format", "VARCHAR", "JPEG or PNG"),
    Column("md5", "VARCHAR", "MD5 of the stored bytes, hex"),
    Column("perceptual_hash", "VARCHAR", "Fingerprint by which near-duplicates are found, 256 hex digits"),
    Column("delivered_sha256", "VARCHAR", "SHA-256 of the file as delivered, with its metadata, hex (its own table states it)"),
    Column("sharpness", "DOUBLE", "Variance of the Laplacian in squared grey levels, of the picture at a shorter side of 112 px"
           " (Pech-Pacheco et al. 2000); low: blurred"),
    Column("exposure", "DOUBLE", "Mean luminance of the whole picture, masks included, 0 (black) to 1 (white)"),
    Column("blank_share", "DOUBLE", "Share of the picture that is flat (masks, burnt-out light): blocks of 8 px, at a shorter "
           "side of 112 px, whose standard deviation is under half a grey level; 0 to 1"),
    Column("resolution_mpx", "DOUBLE", "Megapixels as displayed"),
    Column("age", "VARCHAR", "Age in years as delivered"),
    Column("sex", "VARCHAR", "Sex as delivered"),
    Column("site", "VARCHAR", "Body site as delivered"),
    Column("skin_type", "VARCHAR", "Skin type as delivered"),
    Column("batch_id", "VARCHAR", "The batch that first brought the image"),
    Column("consent", "VARCHAR", "Consent as delivered; of several deliveries the answer that decides"),
    Column("ingested_at", "VARCHAR", "When the batch was claimed, ISO 8601 UTC"),
    Column("exclusion", "VARCHAR", "Why the image is kept out of training: `no consent` (refused or withdrawn), `consent "
           "unclear` (a value that dataset.yaml does not know), `conflict` (the same bytes under two labels), `overruled` (a "
           "person decided for another label); of several the first; empty where it may be trained on"),
    Column("erased_at", "VARCHAR", "When the image was erased, ISO 8601 UTC; empty while it is there"),
)
ATTRIBUTES = ("age", "sex", "site", "skin_type", "consent")  # taken from the delivery's table as they are
QUALITY = ("sharpness", "exposure", "blank_share", "resolution_mpx")
KEY = ("sha256", "label")  # the same bytes under two labels are two rows: a conflict that is kept out of training
FILLED_LATER = ("patient_id", "lesion_id", *ATTRIBUTES)  # a later delivery of the same image may supply what was missing

# What a batch manifest holds of every file, refused ones included; the table's columns but for what spans batches.
MANIFEST_COLUMNS = (
    Column("file_id", "VARCHAR", "Opaque id of the delivered file within its batch"),
    Column("reason", "VARCHAR", "Why the file is in quarantine; empty where it was taken"),
    *(column for column in LESIONS_DATA if column.name not in {"group_id", "exclusion", "erased_at"}),
)


def object_key(split: str | None, label: str, sha256: str, image_format: str) -> str:
    """``skin/<split>/<label>/<sha256>.<ext>``; images delivered without a split stand under ``unassigned``."""
    extension = {"JPEG": "jpg", "PNG": "png"}[image_format]
    return f"skin/{split or 'unassigned'}/{label}/{sha256}.{extension}"
