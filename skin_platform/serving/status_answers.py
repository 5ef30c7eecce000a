"""Status answers: what the description at ``/docs`` says that the service tells of itself and of the model that answers.

Here: the fields with their meaning. Not here: what is told (``serving.status``; a test holds it against these).
"""

from typing import Any, Literal

from pydantic import Field

from skin_platform.serving.answers import DIGEST, Answer


class Health(Answer):
    """Whether the service runs and may be asked."""

    status: Literal["ok", "impaired", "not ready"] = Field(description="impaired: it answers, and something beside has ended")
    reason: str | None = Field(description="Why it may not be asked, or what is not done any more")
    parts: dict[str, bool] = Field(description="What works beside the requests, and whether it still does",
                                   examples=[{"inference": True, "drain": True}])
    model_version: str | None = Field(examples=["v20260501_120000"])
    keys_are_asked: bool = Field(description="False: no key is configured, and everybody may ask")
    predictions_to_store: int | None = Field(description="Rows on their way to the database; null in a demo", examples=[0])


class Alive(Answer):
    """The process answers."""

    status: Literal["alive"]


class Ready(Answer):
    """The golden images were answered as recorded, and answers can be recorded."""

    status: Literal["ready"]
    model_version: str


class Metrics(Answer):
    """How good the version was on its evaluation's split."""

    accuracy: float = Field(examples=[0.81])
    macro_f1: float = Field(examples=[0.74])


class Promotion(Answer):
    """How the version came to be served."""

    kind: str = Field(examples=["promoted"])
    by: str = Field(examples=["Dr. Muster"])
    why: str
    at: str = Field(examples=["2026-05-01T12:00:00+00:00"])
    number: int
    floor: float | None = Field(description="The accuracy that the gates asked for then")
    forced: bool


class RefusedVersion(Answer):
    """A version that was to take over and stays out."""

    version: str | None
    reason: str
    since: str


class Detector(Answer):
    """What tells images that are unlike those learnt from."""

    level: float = Field(description="The share of ordinary images that it may flag", examples=[0.01])
    calibration_images: int = Field(description="What that rests on", examples=[150])


class ModelStatus(Answer):
    """Which model answers, how it came to that, how good and how old it is, and what it was trained on."""

    ready: bool
    reason: str | None = Field(description="Why it may not answer")
    model_version: str | None = Field(examples=["v20260501_120000"])
    since: str = Field(description="When it was taken up")
    bundle: str | None = Field(None, examples=["lesion_classifier:v20260501_120000"])
    engine: str | None = Field(None, examples=["openvino f32"])
    created_at: str | None = None
    age_days: float | None = None
    labels: list[str] = Field([], examples=[["label A", "label B"]])
    metrics: Metrics | None = None
    coverage: float | None = Field(None, description="Of its prediction sets", examples=[0.9])
    out_of_distribution: Detector | None = Field(None, description="Null where the version has no detector")
    no_out_of_distribution: str | None = Field(None, description="Why it has none, where it has none", examples=[
        "12 images can calibrate that, 19 are needed"])
    dataset_digest: str | None = Field(None, examples=[DIGEST])
    dataset_images: dict[str, int] | None = Field(None, examples=[{"train": 700, "val": 150, "test": 150}])
    checkpoint_sha256: str | None = Field(None, examples=[DIGEST])
    code_version: str | None = None
    promotion: Promotion | None = Field(None, description="Null where nobody promoted it")
    superseded_by: str | None = Field(None, description="The champion, where that is another version")
    refused: RefusedVersion | None = Field(None, description="The version that was to take over and stays out, with the reason")
    shadow: dict[str, Any] | None = Field(None, description="The challenger that answers beside, if any")
    drift: Literal["not measured"]
