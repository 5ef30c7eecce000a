"""Evidence made up for tests: answers that are right as often as wanted, on images of patients."""

import numpy as np

from skin_platform.core.answers import softmax
from skin_platform.core.conformal import sets_of
from skin_platform.core.evidence import Evidence


def evidence_of(truth, probabilities, *, labels="abc", groups=None, raw=None, sets=None, **attributes):
    """Evidence with these answers; each image a group of its own unless groups are given."""
    names = tuple(f"{number:064x}" for number in range(len(truth)))
    rows = np.asarray(probabilities, np.float64)
    held = np.ones(rows.shape, bool) if sets is None else sets
    return Evidence(names, tuple(map(str, groups)) if groups is not None else names, tuple(labels), np.asarray(truth), rows,
                    rows if raw is None else raw, held, {name: tuple(of) for name, of in attributes.items()})


def learnt(n, seed, *, labels="abc", strength=1.5, per_group=1, **attributes):
    """Answers of a model that has learnt something, calibrated, on ``n`` images."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(labels), n)
    logits = strength * (rng.normal(size=(n, len(labels))) + strength * np.eye(len(labels))[truth])
    probabilities = softmax(logits.astype(np.float32))
    return evidence_of(truth, probabilities, labels=labels, groups=np.arange(n) // per_group,
                       sets=sets_of(probabilities, [0.9] * len(labels)), raw=softmax((3 * logits).astype(np.float32)),
                       **attributes)


def answering(truth, right, *, classes=3, sure=0.8, **given):
    """Answers that are right where ``right`` says so, and else name the next label, with confidence ``sure``."""
    truth = np.asarray(truth)
    said = np.where(right, truth, (truth + 1) % classes)
    probabilities = np.full((len(truth), classes), (1 - sure) / (classes - 1))
    probabilities[np.arange(len(truth)), said] = sure
    return evidence_of(truth, probabilities, labels="abcdefghi"[:classes], **given)
