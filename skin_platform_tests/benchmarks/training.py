"""Training: our Lightning fit against a bare PyTorch loop, our way to the first batch against plain Pillow; the rest.

    python -m skin_platform_tests.benchmarks.training [--only fit|data|retraining|datasets] [--images 2000] [--turns 3]
                                                      [--threads 2] [--backbone efficientnet_b0] [--json]

Retraining and datasets are modules of their own, run here too (``retraining``, ``datasets``).
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import lightning
import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.augmentation import augmentation
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.examples import LabelledImages
from skin_platform.ml.fit import fit, seeded_net
from skin_platform.ml.learning import class_weights
from skin_platform.ml.order import Batches, Order, Share
from skin_platform.ml.pixel_files import PixelFile
from skin_platform.ml.pixels import StoredPixels
from skin_platform.ml.resume import Resumable
from skin_platform.storage.cache import ImageCache
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.benchmarks import datasets, retraining
from skin_platform_tests.benchmarks.figures import Row, at_most, in_turns, median, options, tell
from skin_platform_tests.benchmarks.pictures import write_pictures

CLASSES, FIT_IMAGES, HELD_IMAGES = 3, 320, 32
SIDE = 112


def noise(n: int, seed: int) -> LabelledImages:
    """Images of a fit whose content does not matter."""
    rng = np.random.default_rng(seed)
    return LabelledImages(rng.integers(0, 255, (n, SIDE, SIDE, 3), dtype=np.uint8), rng.integers(0, CLASSES, n))


def bare_loop(train: LabelledImages, held: LabelledImages, config: TrainingConfig, preprocessing: Preprocessing) -> float:
    """What one writes without Lightning: the same net, steps, averaging and validation; seconds from first step to last."""
    net = seeded_net(CLASSES, config).train()
    averaged = AveragedModel(net, use_buffers=True, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay))
    augment, order = augmentation(config), Order(len(train.targets), config.batch_size, config.seed, Share())
    weights = torch.tensor(class_weights(train.targets, CLASSES), dtype=torch.float32)
    optimizer = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.learning_rate, total_steps=config.epochs * len(order))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))

    def loss_of(model: nn.Module, batch: tuple[Tensor, Tensor], *, is_training: bool) -> Tensor:
        images = batch[0].float() / 255
        if is_training and augment is not None:
            with torch.no_grad():
                images = augment(images)
        images = ((images - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16-mixed"):
            logits = model(images)
        return nn.functional.cross_entropy(logits.float(), batch[1], weights, label_smoothing=config.label_smoothing)

    started = time.perf_counter()
    for epoch in range(config.epochs):
        order.set_epoch(epoch)
        for part in order:
            optimizer.zero_grad()
            loss_of(net, train.batch(part), is_training=True).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            averaged.update_parameters(net)
        with torch.no_grad():
            averaged.eval()
            for part in Order(len(held.targets), config.batch_size, None, Share()):
                loss_of(averaged, held.batch(part), is_training=False)
    return time.perf_counter() - started


def fits(turns: int) -> list[Row]:
    """Row 1: images a second, saving for a restart included."""
    train, held, preprocessing = noise(FIT_IMAGES, 0), noise(HELD_IMAGES, 1), Preprocessing(SIDE)
    precision = "bf16-mixed" if torch.ops.mkldnn._is_mkldnn_bf16_supported() else "32-true"
    config = TrainingConfig(epochs=2, batch_size=32, precision=precision).resolved(FIT_IMAGES)
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}

    def ours(turn: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            result = fit(train, held, CLASSES, config, preprocessing, None, Resumable(Path(folder), str(turn)))
        seconds["ours"].append(result.seconds)

    def bare(turn: int) -> None:
        torch.use_deterministic_algorithms(False)
        seconds["bare"].append(bare_loop(train, held, config, preprocessing))

    ours(-1), bare(-1)  # both have allocated and compiled once
    seconds = {name: [] for name in seconds}
    in_turns({"ours": ours, "bare": bare}, turns)
    images = FIT_IMAGES * config.epochs
    rates = {name: images / median(times) for name, times in seconds.items()}
    shown = f"fit, resnet18 half width {SIDE} px {precision}, images/s (bare loop: peer)"
    ratio = rates["ours"] / rates["bare"]
    return [Row(shown, rates["ours"], rates["bare"], ratio, 0.95, ratio >= 0.95)]


class PlainPillow(Dataset[Tensor]):
    """Each image opened with Pillow when it is asked for, as tutorials do."""

    def __init__(self, paths: list[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self._paths[index]) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            small = ImageOps.fit(upright, (SIDE, SIDE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(small)).permute(2, 0, 1)


class CachedImages:
    """Images in the verified cache of a deployment, none of them decoded yet."""

    def __init__(self, root: Path, images: int) -> None:
        write_pictures(root / "pictures", images)
        self.objects = ObjectStore(root / "objects")
        self.objects.create_bucket("images")
        self.cache, self.names, self.paths = ImageCache(root / "cache", self.objects), [], []
        for path in sorted((root / "pictures").rglob("*.jpg")):
            data = path.read_bytes()
            name = hashlib.sha256(data).hexdigest()
            self.objects.upload_file("images", name, data)
            self.cache.image(name, f"s3://images/{name}")
            self.names.append(name)
            self.paths.append(root / "cache" / name[:2] / name)

    def ours(self, pixels: Path) -> Iterator[tuple[Tensor, Tensor]]:
        """Our batches, shuffled."""
        file = PixelFile(pixels, Preprocessing(SIDE), 10**10)
        stored = StoredPixels(file, self.names, lambda i: self.cache.image(self.names[i], f"s3://images/{self.names[i]}"),
                              Preprocessing(SIDE))
        examples = LabelledImages(stored, np.zeros(len(self.names), np.int64))
        order = Order(len(self.names), 32, 0, Share(), soon=examples.soon)
        return iter(Batches(order, examples.batch))

    def plain(self) -> Iterator[Tensor]:
        """The peer's."""
        return iter(DataLoader(PlainPillow(self.paths), 32, shuffle=True, num_workers=0))


def data(images: int, turns: int) -> list[Row]:
    """Row 2: seconds to the first batch, then of decoding and augmenting all of them."""
    augment = augmentation(TrainingConfig().resolved(images))
    assert augment is not None

    def through(batches: Iterator[Tensor]) -> None:
        with torch.no_grad():
            for batch in batches:
                augment(batch.float() / 255)

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cached = CachedImages(root, images)
        first = in_turns({"ours": lambda turn: next(cached.ours(root / f"first-{turn}")),
                          "plain": lambda turn: next(cached.plain())}, turns + 2)
        whole = in_turns({
            "cold": lambda turn: through(inputs for inputs, _ in cached.ours(root / f"whole-{turn}")),
            "again": lambda turn: through(inputs for inputs, _ in cached.ours(root / "whole-0")) if turn else None,
            "plain": lambda turn: through(cached.plain())}, turns)
    return [
        at_most(f"first of the batches of {images} cached images, none decoded, s (plain Pillow: peer)", median(first["ours"]),
                median(first["plain"]), 1.0),
        at_most(f"decode + augment {images} images, first epoch, s (plain Pillow: peer)", median(whole["cold"]),
                median(whole["plain"]), 1.0),
        at_most(f"decode + augment {images} images, every later epoch, s (plain Pillow: peer)", median(whole["again"][1:]),
                median(whole["plain"]), 1.0)]


def main() -> None:
    """Run, print."""
    parser = options(__doc__ or "")
    parser.add_argument("--images", type=int, default=2000, help="cached images")
    parser.add_argument("--turns", type=int, default=3, help="turns of each contestant")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="torch's threads")
    parser.add_argument("--backbone", default="efficientnet_b0", help="of retraining")
    parts = ("fit", "data", "retraining", "datasets")
    parser.add_argument("--only", choices=parts, help="one part")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    lightning.seed_everything(0, verbose=False)
    measure: dict[str, Callable[[], list[Row]]] = {
        "fit": lambda: fits(given.turns), "data": lambda: data(given.images, given.turns),
        "retraining": lambda: retraining.rows(given.images, given.backbone), "datasets": datasets.rows}
    tell([row for part in parts if given.only in (None, part) for row in measure[part]()], as_json=given.json)


if __name__ == "__main__":
    main()
