"""Precisions: the verdict that lets a model answer in a lower precision than it was evaluated in.

Here: what the verdict says, whether it speaks of a certain model and lets it answer, and how closely the golden images must
come out. Not here: judging (``defs.registry.precision``), computing (``serving.runtimes``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skin_platform.core.gates import GATES

EXACT = "f32"  # what a model is trained, evaluated and exported in
# Half the distance between neighbouring numbers of the format, about 1: a logit of 4 that is rounded once moves no probability
# by more. A test split that happens to show less difference proves nothing finer.
ROUNDING: Mapping[str, float] = {"bf16": 2.0**-8, "f16": 2.0**-11}
MOST = 0.05  # of a probability; whatever a test split showed, golden images that are off by more prove nothing


@dataclass(frozen=True)
class PrecisionVerdict:
    """What the gates say of a model version computed by ``engine`` in ``precision``, on ``n`` images of ``split``.

    ``subject_sha256`` is of all that its answers come from (weights, labels, preprocessing, calibration). ``agreement`` is the
    share of images whose first label is that of f32 in the same engine, ``worst`` the largest difference of a probability
    (golden images included), ``other_flags`` the share that is flagged as of another kind, or no longer (None: no detector).
    ``left_out`` images were withdrawn since the version was evaluated. ``gates`` are verdicts of ``core.gates``, the worse of
    those against the version's own f32 answers and against the ``champion``, where that is another version. ``golden`` are the
    answers to the golden images in this precision, by SHA-256. ``place`` says on what it was measured.
    """

    model_version: str
    subject_sha256: str
    engine: str
    precision: str
    split: str
    locked_digest: str
    n: int
    left_out: int
    agreement: float
    worst: float
    other_flags: float | None
    gates: Sequence[Mapping[str, Any]]
    rules_sha256: str
    champion: str | None
    golden: Mapping[str, Sequence[float]]
    place: str
    judged_at: str
    judged_by: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "gates", tuple(self.gates))  # JSON gives lists
        object.__setattr__(self, "golden", {sha256: tuple(row) for sha256, row in dict(self.golden).items()})

    @property
    def name(self) -> str:
        """What answers so, as an engine is named."""
        return f"{self.engine} {self.precision}"

    @property
    def against(self) -> list[str]:
        """The gates that stand against it, with their reasons; one that is missing does."""
        said = {gate["gate"]: gate for gate in self.gates}
        missing = [f"{gate}: nothing was said of it" for gate in GATES if gate not in said]
        return [f"{name}: {gate['reason']}" for name, gate in said.items() if gate["blocks"]] + missing

    @property
    def tolerance(self) -> float:
        """How far a golden image may be off on another processor, which rounds in another order.

        As far as the precision itself moved an answer of the test split: gates have judged differences of that size.
        """
        return min(MOST, max(ROUNDING.get(self.precision, 0.0), self.worst))


def how_to_judge(version: str, precision: str) -> str:
    """The command that passes a verdict."""
    return f"`skin models judge {version} --precision {precision}`"


def verdict_on(verdicts: Sequence[PrecisionVerdict], engine: str, precision: str) -> PrecisionVerdict | None:
    """The verdict on that engine in that precision; None where there is none."""
    return next((found for found in verdicts if (found.engine, found.precision) == (engine, precision)), None)


def fault_of(verdict: PrecisionVerdict | None, version: str, subject_sha256: str, engine: str, precision: str) -> str | None:
    """Why the model ``version``, whose answers come from ``subject_sha256``, may not answer so; None where it may."""
    name, command = f"{engine} {precision}", how_to_judge(version, precision)
    if verdict is None:
        return (f"model version {version} has no verdict on {name}: {command} passes one, where its test images are, and the "
                "bundle carries it from then on; SKIN_PRECISION=f32 needs none")
    if (verdict.model_version, verdict.subject_sha256) != (version, subject_sha256):
        other = "other weights or another calibration" if verdict.model_version == version else verdict.model_version
        return f"the verdict on {name} that the bundle of {version} carries is of {other}: {command} passes one on this"
    if verdict.against:
        return (f"model version {version} may not answer in {name}, by the gates on {verdict.n} images of '{verdict.split}': "
                f"{'; '.join(verdict.against)}. SKIN_PRECISION=f32 answers as evaluated")
    return None
