"""Answers: what the description at ``/docs`` says that the routes give; no answer is built or checked with these.

Here: the fields of each answer with their meaning and an example. Not here: the answers themselves (``serving.predictions``; a
test holds them against these), what the service says of itself (``serving.status_answers``).
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from skin_platform.core.ood import FEWEST

DIGEST = "3b0c0f5a9a0e2f6a7d1c4f8b2e5d7a9c1b3e5f7a9c1d3e5f7b9d1f3a5c7e9b1d"
PREDICTION_ID = "6f1c3f0a-8a53-4f0c-9a5e-3f1d0f0a7c11"


class Answer(BaseModel):
    """An answer of the service; nothing else is in it."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Error(Answer):
    """The one shape of everything that is not the answer asked for."""

    code: str = Field(description="What a program goes by", examples=["too_small"])
    message: str = Field(description="What a person should know", examples=["8x8 pixels is too small to judge"])
    request_id: str = Field(description="X-Request-Id of the request, or the one it was given; in every log line of it")


class ImageError(Answer):
    """Why one image of several is not answered."""

    code: str = Field(description="As of an error of /predict", examples=["corrupt"])
    message: str = Field(description="What a person should know", examples=["truncated or corrupt JPEG"])


class Ranked(Answer):
    """A label with its calibrated probability."""

    label: str = Field(examples=["label A"])
    probability: float = Field(ge=0, le=1, examples=[0.87])


class PredictionSet(Answer):
    """The labels that cannot be excluded at the stated coverage (split conformal prediction)."""

    labels: list[str] = Field(examples=[["label A"]])
    coverage: float = Field(gt=0, lt=1, examples=[0.9],
                            description="How often such a set holds the true label, for images like those learnt from")


class OutOfDistribution(Answer):
    """How unlike the image is to what was learnt from."""

    score: float = Field(description="Distance of its features; higher is stranger", examples=[31.4])
    p_value: float = Field(ge=0, le=1, description="Share of ordinary images that are at least as strange", examples=[0.42])
    flagged: bool = Field(description="Whether it is stranger than the level allows", examples=[False])


class Timing(Answer):
    """Where the time went, in milliseconds."""

    decode: float = Field(ge=0, description="Checking and decoding", examples=[1.9])
    infer: float = Field(ge=0, description="Waiting for the model and its answer", examples=[6.2])
    total: float = Field(ge=0, description="Since the request came in", examples=[8.6])


class Prediction(Answer):
    """The answer for one image."""

    prediction_id: str = Field(description="For feedback and tracing", examples=[PREDICTION_ID])
    label: str = Field(description="The most probable label; a claim only where abstained is false", examples=["label A"])
    probability: float = Field(ge=0, le=1, description="Its calibrated probability", examples=[0.87])
    top_k: list[Ranked] = Field(description="The most probable labels, best first")
    prediction_set: PredictionSet
    abstained: bool = Field(description="The set says nothing: no claim is made", examples=[False])
    abstained_reason: str | None = Field(description="Why, where abstained", examples=[None])
    out_of_distribution: OutOfDistribution | None = Field(
        description=f"Null where the model version cannot tell, mostly since fewer than {FEWEST} images could calibrate that; "
                    "no_out_of_distribution of /model-status says why")
    bundle: str = Field(description="The bento's tag", examples=["lesion_classifier:v20260501_120000"])
    model_version: str = Field(examples=["v20260501_120000"])
    checkpoint_sha256: str = Field(examples=[DIGEST])
    dataset_digest: str = Field(description="The dataset version that it learnt from", examples=[DIGEST])
    timing_ms: Timing
    request_id: str = Field(examples=["2f0c8e6d1b7a4c6f9e3d5b7a1c2e4f60"])
    notice: str = Field(examples=["Research software, not a medical device: no diagnosis may rest on this answer."])


class Predictions(Answer):
    """The answers for several images."""

    predictions: list[Prediction | ImageError] = Field(description="One for each image, in order")
    request_id: str


class Submitted(Answer):
    """A job that waits."""

    job_id: str = Field(description="The prediction_id of its answer, too", examples=[PREDICTION_ID])
    status: Literal["waiting"]
    status_url: str = Field(examples=[f"/predict/async/{PREDICTION_ID}"])
    request_id: str


class Job(Answer):
    """How far a submitted image is."""

    job_id: str = Field(examples=[PREDICTION_ID])
    status: Literal["waiting", "running", "done", "failed"]
    submitted_at: str = Field(examples=["2026-05-01T12:00:00+00:00"])
    finished_at: str | None
    result: Prediction | None = Field(description="Where it is done")
    error: ImageError | None = Field(description="Where it failed")
    request_id: str


class Kept(Answer):
    """Feedback that is kept."""

    feedback_id: str = Field(description="The same for the same label, prediction and person", examples=[PREDICTION_ID])
    prediction_id: str = Field(examples=[PREDICTION_ID])
    correct_label: str = Field(examples=["label B"])
    request_id: str
