"""The demo: a delivery walks from a folder to an HTTP answer and its trace, on the real instance.

Here: the order of things and what is told. Not here: any work of its own; it calls what the assets call.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skin_platform.adopting import DemoError, adopt, lower_floor
from skin_platform.client import SkinClient
from skin_platform.defs.bundling import ensure_bundle
from skin_platform.defs.listening import Told, Walked
from skin_platform.defs.walk import instance_in, walk_batches, walk_training
from skin_platform.leftovers import alike, leftovers
from skin_platform.lineage import trace_prediction
from skin_platform.serving.launch import held_port, running_service
from skin_platform.settings import Settings, load_settings
from skin_platform.storage.stores import DEFAULT_LABELS, Stores, prepare_home
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.world import World

SYNTHETIC = World(images=240, patients=80, labels=tuple(DEFAULT_LABELS), seed=7, duplicates=0.02, corrupt=0.02)

SHOWN_SCORES = ("split", "n", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval")


@dataclass(frozen=True)
class Story:
    """What the demo tells at the end. ``promotion`` says which version answers, or what stands against the new one."""

    labels: list[str]
    images: int
    quarantined: list[dict[str, Any]]
    stages: dict[str, float]
    dataset_digest: str
    checkpoint_sha256: str
    bundle: str
    metrics: dict[str, Any]
    promotion: dict[str, Any]
    answer: dict[str, Any]
    trace: dict[str, Any]
    notes: list[str]
    home: str


def run_demo(data: Path | None, settings: Settings, tell: Callable[[Told], None], training: dict[str, Any]) -> Story:
    """Walk ``data`` (a synthetic delivery where None) to an answer, trained with the fields in ``training``.

    Raises ``DemoError`` and the errors of the parts.
    """
    prepare_home(settings)
    stages: dict[str, float] = {}
    started = time.monotonic()
    folder = data.resolve() if data else _synthetic(settings, tell)
    if not data:
        stages["synthetic delivery"] = time.monotonic() - started
    notes = [note] if data and (note := adopt(folder, settings, tell)) else []
    if not data:
        lower_floor(settings, tell)
    settings = load_settings(skin_home=settings.home.root)
    stores = Stores(settings)
    notes += alike(settings.dataset.labels)
    stores.claim(folder, folder.name, settle_seconds=0)
    batches = [batch.batch_id for batch in stores.ledger.open_batches()]  # those of a walk that was killed, too
    if not batches and stores.catalogue.state() is None:
        raise DemoError(f"{folder} holds no files: give a folder of <label>/<image>, or images with a manifest.csv")
    if not batches:
        notes.append(f"everything in {folder.name} had landed before; the walk begins at the dataset")
    walked = _walk(settings, batches, tell, training)
    promotion = _promotion(stores, walked)
    notes += promotion["notes"]
    answer, trace, seconds = _ask(promotion["bundle"], settings, tell)
    stages |= walked.seconds | seconds
    state = stores.catalogue.state()
    evaluation = stores.references.read(["checkpoints", "evaluation"])
    notes += leftovers(stores, batches)
    quarantined = [entry.as_dict() for batch in batches for entry in stores.quarantine.of_batch(batch)]
    return Story(
        labels=list(evaluation["checkpoint"]["dataset"]["labels"]), images=state.trainable if state else 0,
        quarantined=quarantined, stages={name: round(value, 2) for name, value in stages.items()},
        dataset_digest=trace["dataset_digest"], checkpoint_sha256=trace["checkpoint_sha256"], bundle=trace["bundle"],
        metrics={name: evaluation[name] for name in SHOWN_SCORES}, promotion=promotion, answer=answer, trace=trace,
        notes=notes, home=str(settings.home.root))


def _synthetic(settings: Settings, tell: Callable[[Told], None]) -> Path:
    """The demo's own delivery in the landing folder, made once."""
    folder = settings.home.landing / "synthetic"
    if not (folder / "manifest.csv").exists():
        tell(Told("synthetic delivery", "begun"))
        generate(SYNTHETIC, folder)
        tell(Told("synthetic delivery", "made", f"{SYNTHETIC.images} images of {SYNTHETIC.patients} patients"))
    return folder


def _walk(
    settings: Settings, batches: list[str], tell: Callable[[Told], None], training: dict[str, Any]
) -> Walked:
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    definitions = build_definitions(default_resources(settings))
    with instance_in(settings.home.dagster) as instance:
        walked = walk_batches(definitions, instance, batches, tell)
        trained = walk_training(definitions, instance, training, tell)
    return Walked(walked.seconds | trained.seconds, walked.run_ids + trained.run_ids, trained.refused_by)


def _promotion(stores: Stores, walked: Walked) -> dict[str, Any]:
    """Which version answers now and since when, what the gates had against the new one, and the bundle to ask.

    Where nothing was promoted yet that is the new version's: asked by name, not served.
    """
    trained = stores.references.read(["registry", "model_version"])["version"]
    champion = stores.moves.current("champion")
    version = champion.version if champion else trained
    notes = []
    if walked.refused_by:
        instead = f"{version} goes on answering" if champion else (
            "nothing is promoted, so that `skin serve` would answer 503; the answer above was asked of its bundle by name")
        notes.append(f"{trained} was not promoted: {'; '.join(walked.refused_by)}; {instead}")
    floor, usual = stores.settings.dataset.gates.floor, Settings.model_fields["performance_threshold"].default
    if floor < usual:
        where = stores.settings.dataset_config_path
        notes.append(f"the accuracy that a model must reach is {floor:g} here (gates.floor in {where}), so that a demo on hard "
                     f"data ends with an answer; elsewhere PERFORMANCE_THRESHOLD decides, usually {usual:g}")
    return {"trained": trained, "champion": champion.version if champion else None, "refused_by": walked.refused_by,
            "floor": floor, "bundle": ensure_bundle(version, stores).tag, "notes": notes}


def _ask(tag: str, settings: Settings, tell: Callable[[Told], None]) -> tuple[dict[str, Any], dict[str, Any], dict[str, float]]:
    """Serve the bundle of ``tag``, post one held-back image, trace the answer."""
    stores = Stores(settings)
    digest = ensure_bundle(tag.partition(":")[2], stores).evaluation.checkpoint.dataset.digest
    held = [row for row in stores.datasets.read(digest) if row.split == settings.dataset.validation_split]
    image = stores.cache.image(held[0].sha256, held[0].s3_uri)
    tell(Told("serve", "begun"))
    started = time.monotonic()
    with (held_port(settings.api_host, settings.api_port) as port,
          running_service(tag, settings.home.root, settings.api_host, port) as url):
        ready = time.monotonic()
        tell(Told("serve", "made", f"{tag} is ready at {url} after {ready - started:.1f} s"))
        with SkinClient(url, settings.api_key.get_secret_value()) as client:
            answer = client.predict(image)
        answered = time.monotonic()
        tell(Told("predict", "made", f"truth {held[0].label}, answer {answer['label']} ({answer['probability']:.2f})"))
        trace, _ = trace_prediction(answer["prediction_id"], settings, wait_seconds=10)
    tell(Told("serve", "log", "stopped"))
    return answer, trace.as_dict(), {"serve": ready - started, "predict": answered - ready}
