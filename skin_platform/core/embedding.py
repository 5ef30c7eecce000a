"""Embeddings as they are named and handed on: what computed an image's features, and what one batch was given.

Here: the recipe that a line of the configuration stands for. Not here: computing (``ml.embedder``), keeping
(``storage.embeddings``).
"""

import hashlib
import json
from dataclasses import dataclass

FEATURES = "pooled_features of ml.backbones, float32, 1"  # another number where the same weights would give other features


@dataclass(frozen=True)
class EmbeddedBatch:
    """The images of a batch that have features: of which digest, how many were computed now, how many were there already."""

    batch_id: str
    digest: str
    images: int
    computed: int
    reused: int


def recipe_of(name: str, weights: str, revision: str) -> str:
    """16 hex digits for a backbone as the configuration names it, found without loading it.

    Other weights put into the same folder have the same recipe, and another digest (``ml.embedder``).
    """
    named = json.dumps([name, weights, revision, FEATURES])
    return hashlib.sha256(named.encode()).hexdigest()[:16]
