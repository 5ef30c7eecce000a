"""Evidence: what a model answered on images whose label is known, a row an image, from which every figure can be recomputed.

Here: the rows, and that they are sound. Not here: scores (``core.report``), comparisons (``core.paired``), verdicts
(``core.gates``); making the answers (``ml``) and keeping them (``storage``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

SUM_TOLERANCE = 1e-3  # of a row's probabilities: float32 files round them


@dataclass(frozen=True, eq=False)
class Evidence:
    """N rows over C labels. Raises ``ValueError`` that names the fault where a row is not sound.

    ``truth`` (N,) indexes ``labels``; ``probabilities`` and ``raw`` (N, C) are after and before temperature scaling; ``sets``
    (N, C) says which labels the conformal set holds. ``attributes`` are texts (N,) by name, "" where none was given.
    """

    sha256: tuple[str, ...]
    groups: tuple[str, ...]
    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    raw: NDArray[np.float64]
    sets: NDArray[np.bool_]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fault = _fault_of_rows(self) or _fault_of_answers(self)
        if fault:
            raise ValueError(f"this is no sound evidence: {fault}")

    @property
    def n(self) -> int:
        """The number of images."""
        return len(self.sha256)

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The index (N,) of the most probable label, the first of equal ones."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the most probable label is the true one (N,)."""
        found: NDArray[np.bool_] = self.predicted == self.truth
        return found

    @property
    def covered(self) -> NDArray[np.bool_]:
        """Whether the conformal set holds the true label (N,)."""
        found: NDArray[np.bool_] = self.sets[np.arange(self.n), self.truth]
        return found

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Counts (C, C): rows of truth by columns of prediction."""
        classes = len(self.labels)
        counts = np.bincount(self.truth * classes + self.predicted, minlength=classes * classes)
        return counts.reshape(classes, classes).astype(np.int64)

    def only(self, mask: NDArray[np.bool_]) -> "Evidence":
        """The rows where ``mask`` (N,) is true, in order. Raises ``ValueError`` where there are none."""
        keep = np.flatnonzero(mask)

        def kept(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(values[i] for i in keep.tolist())

        return Evidence(kept(self.sha256), kept(self.groups), self.labels, self.truth[keep], self.probabilities[keep],
                        self.raw[keep], self.sets[keep], {name: kept(of) for name, of in self.attributes.items()})


def widened(matrix: NDArray[np.float64], known: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """Columns (N, len(labels)) of a model that knows the labels ``known``; 0 for a label that it does not know.

    So a former model is asked about the images of a dataset with a new label: it is wrong there. Raises ``ValueError`` where
    ``labels`` lack a known one, since its column may hold the answer.
    """
    missing = [label for label in known if label not in labels]
    if missing:
        raise ValueError(f"the model answers with {', '.join(missing)}, which is none of {', '.join(labels)}")
    wide = np.zeros((len(matrix), len(labels)), dtype=matrix.dtype)
    wide[:, [list(labels).index(label) for label in known]] = matrix
    return wide


def _fault_of_rows(evidence: Evidence) -> str:
    n = evidence.n
    if not n:
        return "it has no rows"
    if len(set(evidence.sha256)) < n:
        return "an image stands in it twice"
    lengths = {"groups": len(evidence.groups), "truth": len(evidence.truth),
               **{name: len(of) for name, of in evidence.attributes.items()}}
    short = [f"{name} has {length}" for name, length in lengths.items() if length != n]
    return f"there are {n} images, and {', '.join(short)} values" if short else ""


def _fault_of_answers(evidence: Evidence) -> str:
    classes = len(evidence.labels)
    if len(set(evidence.labels)) < classes:
        return f"a label is named twice: {', '.join(evidence.labels)}"
    if evidence.truth.min() < 0 or evidence.truth.max() >= classes:
        return f"truth must be 0 to {classes - 1}, and is {evidence.truth.min()} to {evidence.truth.max()}"
    if evidence.sets.shape != (evidence.n, classes):
        return f"sets has the shape {evidence.sets.shape}, not {(evidence.n, classes)}"
    for name, values in (("probabilities", evidence.probabilities), ("raw", evidence.raw)):
        if values.shape != (evidence.n, classes):
            return f"{name} has the shape {values.shape}, not {(evidence.n, classes)}"
        if not (values >= 0).all() or not (abs(values.sum(axis=1) - 1) <= SUM_TOLERANCE).all():
            return f"{name} must be at least 0 and add up to 1 in each row"
    return ""
