"""Retraining: a frozen backbone's head once more after 100 new images, against training it from nothing.

    python -m skin_platform_tests.benchmarks.retraining [--images 2000] [--backbone efficientnet_b0] [--turns 1] [--json]

Both do what the asset does: features that are missing are computed and stored, all are read, the head is fitted by Lightning.
"""

import hashlib
import shutil
import tempfile
import time
from pathlib import Path

from skin_platform.core.datasets import DatasetRow
from skin_platform.core.references import DatasetReference
from skin_platform.defs.checkpoints.learning import learnt
from skin_platform.ml.backbones import build_backbone, weights_digest
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.progress import Hooks
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.benchmarks.figures import Row, at_most, median, options, tell
from skin_platform_tests.benchmarks.pictures import write_pictures

NEW_IMAGES, BAR = 100, 0.15
LABELS = ("mottled", "plain")


def rows(images: int = 2000, backbone: str = "efficientnet_b0", turns: int = 1) -> list[Row]:
    """The row of the Speed table: ``images`` embedded before, ``NEW_IMAGES`` new."""
    with tempfile.TemporaryDirectory() as folder:
        stores, held = _stores(Path(folder), images + NEW_IMAGES)
        settings = TrainingConfig(weights=str(_weights(Path(folder) / "weights", backbone)), frozen=True)
        again, nothing, digests = [], [], set()
        _learnt(stores, held[:64], settings)  # imports and the first use of every kernel are nobody's
        for _ in range(turns):
            shutil.rmtree(stores.settings.home.objects / stores.settings.s3_bucket_data / "embeddings")
            _learnt(stores, held[:images], settings)
            seconds, digest = _learnt(stores, held, settings)
            again.append(seconds)
            digests.add(digest)
            shutil.rmtree(stores.settings.home.objects / stores.settings.s3_bucket_data / "embeddings")
            seconds, digest = _learnt(stores, held, settings)
            nothing.append(seconds)
            digests.add(digest)
        assert len(digests) == 1, "the weights depend on what was stored before"
    return [at_most(f"retraining on frozen {backbone}, {NEW_IMAGES} new images after {images}, s", median(again),
                    median(nothing), BAR)]


def _stores(folder: Path, images: int) -> tuple[Stores, list[DatasetRow]]:
    """A deployment with so many pictures in its image bucket, and the rows of a dataset of them, a fifth held back."""
    settings = load_settings(skin_home=folder / "home")
    prepare_home(settings)
    stores, found = Stores(settings), []
    write_pictures(folder / "pictures", images)
    for number, path in enumerate(sorted((folder / "pictures").rglob("*.jpg"), key=lambda path: path.name)):
        data = path.read_bytes()
        sha256 = hashlib.sha256(data).hexdigest()
        key = f"skin/unassigned/{path.parent.name}/{sha256}.jpg"
        stores.objects.upload_file(stores.images_bucket, key, data)
        split = settings.dataset.validation_split if number % 5 == 0 else settings.dataset.train_split
        found.append(DatasetRow(sha256, path.parent.name, sha256, split, f"s3://{stores.images_bucket}/{key}"))
    return stores, found


def _weights(folder: Path, backbone: str) -> Path:
    """Weights as a hub repository holds them: those of an untrained network will do."""
    build_backbone(TrainingConfig(backbone=backbone, width=1.0, image_size_px=224).resolved(1)).save_pretrained(folder)
    return folder


def _learnt(stores: Stores, images: list[DatasetRow], settings: TrainingConfig) -> tuple[float, str]:
    """Seconds of training on these images as the asset does it, and the digest of the weights."""
    words = stores.settings.dataset
    train, held = ([row for row in images if row.split == split] for split in (words.train_split, words.validation_split))
    digest = hashlib.sha256("".join(row.sha256 for row in images).encode()).hexdigest()
    shutil.rmtree(stores.settings.home.training, ignore_errors=True)  # not resumed: every fit is a whole one
    started = time.perf_counter()
    fit = learnt((train, held), DatasetReference(digest, "", "", LABELS), settings.resolved(len(train)), stores, Hooks(),
                 lambda told: None)
    return time.perf_counter() - started, weights_digest(fit.net)


def main() -> None:
    """Measure and tell."""
    parser = options("Retraining on a frozen backbone against training from nothing.")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--backbone", default="efficientnet_b0")
    parser.add_argument("--turns", type=int, default=1)
    chosen = parser.parse_args()
    tell(rows(chosen.images, chosen.backbone, chosen.turns), as_json=chosen.json)


if __name__ == "__main__":
    main()
