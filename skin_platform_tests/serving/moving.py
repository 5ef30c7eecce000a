"""Moving: which version may have answered a request, when the champion moves meanwhile, and what it must have said."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from skin_platform.serving.engine import Engine
from skin_platform_tests.serving.loading import Answer

TOLERANCE = 1e-4  # of a probability: a batch of other size rounds otherwise


@dataclass(frozen=True)
class Move:
    """``version`` was exported at one moment, and known to answer at another (``time.monotonic``)."""

    version: str
    exported: float
    answering: float


def wrong_answers(answers: Sequence[Answer], moves: Sequence[Move], engines: Mapping[str, Engine],
                  pictures: Sequence[bytes]) -> list[str]:
    """A line for each answer by a version that was not the champion then, or with another probability than that version's."""
    expected = {version: engine.probabilities(pictures) for version, engine in engines.items()}
    return [fault for answer in answers for fault in _faults(answer, moves, engines, expected)]


def _faults(answer: Answer, moves: Sequence[Move], engines: Mapping[str, Engine], expected: Mapping[str, object]
            ) -> Iterator[str]:
    version = answer.body["model_version"]
    ends = [move.answering for move in moves[1:]] + [time.monotonic()]
    possible = {move.version for move, end in zip(moves, ends, strict=True) if move.exported <= answer.ended and
                end >= answer.began}
    if version not in possible:
        yield f"{version} answered, and only {possible} may have"
        return
    row = expected[version][answer.number]  # type: ignore[index]
    labels = engines[version].bundle.labels
    for item in answer.body["top_k"]:
        if abs(item["probability"] - row[labels.index(item["label"])]) > TOLERANCE:
            yield f"{version} says {item}, and should {row[labels.index(item['label'])]:.4f}"
