"""Lines of versions: what is said where all splits are drawn anew, and where that would help.

Here: the sentences, with counts. Not here: drawing and freezing (``defs.datasets.freezing``).
"""

from collections import Counter
from collections.abc import Sequence

import pyarrow.compute as pc

from skin_platform.core.split_terms import SplitTerms
from skin_platform.storage.candidates import Split
from skin_platform.storage.dataset_versions import DatasetVersion
from skin_platform.storage.datasets import Latest
from skin_platform.storage.stores import Stores


def new_line_notes(stores: Stores, former: Latest, split: Split) -> list[str]:
    """What must be known of a version whose splits are drawn anew; raises ``ValueError`` where the line was there before."""
    line, before = stores.settings.dataset.line, stores.datasets.version(former.digest)
    _refuse_a_line_that_was(stores, former, line)
    was = dict(zip(*(stores.datasets.assigned(former)[name].to_pylist() for name in ("sha256", "split")), strict=True))
    now = dict(zip(*(split.manifest[name].to_pylist() for name in ("sha256", "split")), strict=True))
    ways = Counter((was[sha256], name) for sha256, name in now.items() if was.get(sha256, name) != name)
    told = ", ".join(f"{count} from {old} to {new}" for (old, new), count in sorted(ways.items())) or "none"
    return [f"a new line of versions, '{line}', begins after dataset {former.digest[:12]} (line '{before.came.line}'): all "
            f"splits were drawn anew, because dataset.yaml says so; images that are in another split now: {told}. Scores "
            "before and after cannot be compared", *_spoilt(stores, before, ways)]


def _refuse_a_line_that_was(stores: Stores, former: Latest, line: str) -> None:
    for version in stores.datasets.list():
        if version.came.line == line and version.digest != former.digest:
            raise ValueError(f"line '{line}' of dataset.yaml was left for another (dataset {version.digest[:12]} is of it), "
                             "and splits that were left do not come back: name a line that was not there before")


def _spoilt(stores: Stores, before: DatasetVersion, ways: Counter[tuple[str, str]]) -> list[str]:
    """What the new held-out splits have lost by what was done with their images before."""
    config, terms = stores.settings.dataset, before.came.terms or SplitTerms({})
    learnt, notes = next(iter(terms.fractions), config.train_split), []
    taught = sum(count for (old, new), count in ways.items() if old == learnt and new != config.train_split)
    if taught:
        notes.append(f"{taught} image(s) that judge or choose now were learnt from before: models of the former line know "
                     "them, and score too well on them")
    seen, openings = sum(count for (old, _), count in ways.items() if old == terms.locked), len(stores.openings.all())
    if seen:
        notes.append(f"{seen} image(s) that were locked in '{terms.locked}' are in other splits now; it was opened {openings} "
                     "time(s), so that what was chosen since then was chosen knowing them")
    return notes


def what_later_links_took(split: Split, needed: Sequence[str]) -> str:
    """How many images later links pulled out of the splits that are ``needed``, as a sentence; empty where none."""
    ways = Counter(zip(*(split.moves[name].to_pylist() for name in ("from_split", "to_split")), strict=True))
    told = []
    for name in needed:
        gone = {new: count for (old, new), count in sorted(ways.items()) if old == name}
        if gone:
            left = pc.sum(pc.equal(split.manifest["split"], name)).as_py() or 0
            to = ", ".join(f"{count} to {new}" for new, count in gone.items())
            told.append(f"{sum(gone.values())} image(s) moved out of '{name}' ({to}), which holds {left} now")
    groups = pc.count_distinct(split.manifest["group_id"]).as_py()
    return (f"links that came later joined patients across splits, and the more held-out split took each group whole: "
            f"{'; '.join(told)}; the {len(split.manifest)} image(s) are of {groups} group(s) in all") if told else ""
