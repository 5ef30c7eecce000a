"""Leftovers: what a walk did not train on although it is no refused file, as sentences for people."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from skin_platform.storage.stores import Stores

NAMED = 5  # files in one sentence


def alike(labels: Sequence[str]) -> list[str]:
    """A sentence for labels that differ only in case or spaces."""
    groups = defaultdict(list)
    for label in labels:
        groups["".join(label.split()).casefold()].append(label)
    return [f"the labels {' and '.join(group)} differ only in case or spaces, and are learnt as different ones"
            for group in groups.values() if len(group) > 1]


def leftovers(stores: Stores, batches: Sequence[str]) -> list[str]:
    """Sentences on duplicates and conflicts of ``batches``, and on labels of the catalogue that are not configured."""
    by_label = stores.catalogue.query("SELECT label, count(*) AS images FROM lesions_data GROUP BY label")
    if by_label is None:
        return []
    notes = []
    doubtful, seen = set(stores.catalogue.conflicts()), set()
    named: dict[str, list[str]] = defaultdict(list)
    duplicates = 0
    for batch in batches:
        names = stores.batches.read_names(batch)
        for row in stores.batches.read_manifest(f"batches/{batch}/landed.parquet").to_pylist():
            if row["reason"]:
                continue
            duplicates += (row["sha256"], row["label"]) in seen
            seen.add((row["sha256"], row["label"]))
            if row["sha256"] in doubtful:
                named[row["sha256"]].append(names.get(row["file_id"], row["file_id"]))
    if duplicates:
        notes.append(f"{duplicates} file(s) are byte-identical to others of the delivery and are stored once")
    if doubtful:
        files = "; ".join(" = ".join(files) for files in list(named.values())[:NAMED])
        notes.append(f"{len(doubtful)} image(s) stand under two labels and are not trained on: {files or 'earlier deliveries'} "
                     "(skin conflicts lists them, skin resolve decides)")
    known = stores.settings.dataset.labels
    others = Counter({row["label"]: row["images"] for row in by_label.to_pylist() if known and row["label"] not in known})
    if others:
        notes.append(f"{others.total()} image(s) of other labels ({', '.join(sorted(others))}) stay in the catalogue and are "
                     f"not trained on: dataset.yaml names {', '.join(known)}")
    return notes
