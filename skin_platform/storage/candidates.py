"""Candidates: what the catalogue offers to a dataset, brought to splits by the rule, as columns.

Here: between Arrow tables and the rule's numbers. Not here: the rule (``core.splits``), the catalogue's question
(``storage.lesions_sql``), keeping the outcome (``storage.datasets``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skin_platform.core.splits import NONE, Candidates, SplitPolicy, assign_splits
from skin_platform.storage.manifests import ASSIGNED, MANIFEST, MOVES, ordered


@dataclass(frozen=True)
class Split:
    """The manifest in canonical order, the images that moved, those that are assigned but absent now, and the notes."""

    manifest: pa.Table
    moves: pa.Table
    absent: pa.Table
    notes: tuple[str, ...]


def split_candidates(offered: pa.Table, assigned: pa.Table, policy: SplitPolicy, aliases: Mapping[str, str]) -> Split:
    """The splits of ``offered`` (as ``Catalogue.trainable`` gives it), where ``assigned`` says what was before.

    ``aliases`` maps former and other names of splits, in lower case, to theirs. Raises ``ValueError`` where an image is
    assigned to a split that the policy does not know by any name: it would be drawn anew, perhaps into training.
    """
    codes = {name: code for code, name in enumerate(policy.names)}
    for former in pc.unique(assigned["split"]).to_pylist():
        if aliases.get(former.lower()) not in codes:
            count = pc.sum(pc.equal(assigned["split"], former)).as_py()
            raise ValueError(f"{count} image(s) of the former dataset are in the split '{former}', which dataset.yaml does not "
                             f"name: add it there (with `fraction: 0` it takes no new images), or name it in `also_called`")
    named = {alias: codes[name] for alias, name in aliases.items() if name in codes}
    labels, label = _encoded(offered["label"])
    images = Candidates(
        labels, np.array(offered["sha256"].to_numpy(), dtype="S64"), label, _encoded(offered["group_id"])[1],
        _codes(offered["split"], named), _codes(offered["previous"], named),
        offered["is_usable"].to_numpy().astype(bool))
    found = assign_splits(images, policy)
    names = pa.array(policy.names, pa.string())
    now = names.take(pa.array(found.split, mask=found.split == NONE))
    at = pa.array(found.moved)
    before = names.take(pa.array(images.previous[found.moved]))
    moves = pa.table([offered["sha256"].take(at), before, now.take(at)], schema=MOVES)
    placed = pa.table([offered["sha256"], offered["label"], offered["group_id"], now, offered["s3_uri"]], schema=MANIFEST)
    manifest = ordered(placed.filter(offered["is_usable"]))
    return Split(manifest, ordered(moves, ["sha256"]), _absent(placed, offered["is_usable"], assigned, aliases), found.notes)


def _absent(placed: pa.Table, is_usable: pa.ChunkedArray, assigned: pa.Table, aliases: Mapping[str, str]) -> pa.Table:
    """Images that were assigned and are not in the manifest, with the split that waits for them."""
    held = placed.filter(pc.invert(is_usable)).select(["sha256", "split"])
    gone = assigned.filter(pc.invert(pc.is_in(assigned["sha256"], placed["sha256"].combine_chunks())))
    splits = pa.array([aliases[split.lower()] for split in gone["split"].to_pylist()], pa.string())
    return ordered(pa.concat_tables([held, pa.table([gone["sha256"], splits], schema=ASSIGNED)]), ["sha256"])


def _encoded(column: pa.ChunkedArray) -> tuple[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The distinct values, and the position of each row's."""
    whole = column.combine_chunks().dictionary_encode()
    return tuple(whole.dictionary.to_pylist()), whole.indices.to_numpy().astype(np.int64)


def _codes(column: pa.ChunkedArray, named: Mapping[str, int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The codes of split names; -1 for none, and for names that nobody gave."""
    whole = column.combine_chunks().dictionary_encode()
    known = np.array([named.get(name.lower(), NONE) for name in whole.dictionary.to_pylist()] + [NONE], dtype=np.int64)
    found = known[pc.fill_null(whole.indices, len(known) - 1).to_numpy()]
    return np.asarray(found, dtype=np.int64)


