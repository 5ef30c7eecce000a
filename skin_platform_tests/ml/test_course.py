"""The course of a fit: what ends it, what is kept, what is told, what is refused; and the order of its examples."""

import os
import signal

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, recall_score

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml import progress as progress_module
from skin_platform.ml.augmentation import augmentation
from skin_platform.ml.backbones import weights_digest
from skin_platform.ml.config import STRENGTHS, ConfigError, TrainingConfig
from skin_platform.ml.course import improvements
from skin_platform.ml.failures import BadData, Cancelled, OutOfMemory, named_failures
from skin_platform.ml.fit import fit
from skin_platform.ml.learning import class_weights
from skin_platform.ml.order import Order, Share
from skin_platform.ml.progress import Hooks
from skin_platform.ml.scores import Scores
from skin_platform_tests.ml.examples import pictures, tiny


def run(config, hooks=None):
    return fit(pictures(20, 0), pictures(6, 1), 2, config, Preprocessing(32), hooks)


def test_patience_ends_the_fit_and_keeps_the_best_epoch():
    result = run(tiny(20, epochs=12, patience=2, monitor="val_loss", min_delta=0.05))
    losses = [row["val_loss"] for row in result.history]
    found = improvements(losses, "val_loss", 0.05)
    assert len(losses) == found[-1] + 1 + 2 < 12
    assert (result.ended_by, result.chosen_by, result.kept_epoch) == ("patience", "val_loss", found[-1] + 1)
    # the weights of that epoch: those of a fit that was cancelled right behind it would be the same
    shorter = run(tiny(20, epochs=12, patience=11, monitor="val_loss", min_delta=0.05))
    assert shorter.kept_epoch >= result.kept_epoch
    assert run(tiny(20, epochs=2)).chosen_by == ""


def test_what_counts_as_an_improvement():
    assert improvements([0.5, 0.5, 0.6, 0.55, 0.65], "val_accuracy", 0.0) == [0, 2, 4]
    assert improvements([0.5, 0.54, 0.58, 0.62], "val_accuracy", 0.1) == [0, 3]  # small steps add up
    assert improvements([1.0, float("nan"), 0.9], "val_loss", 0.0) == [0, 2]


def test_the_budget_in_minutes_ends_the_fit_after_an_epoch():
    result = run(tiny(20, epochs=50, minutes=1e-6))
    assert (len(result.history), result.ended_by, result.kept_epoch) == (1, "minutes", 1)


def test_progress_is_told_with_rate_and_time_to_go(monkeypatch):
    monkeypatch.setattr(progress_module, "TELL_SECONDS", 0.0)
    told = []
    run(tiny(20, epochs=2), Hooks(on_progress=told.append))
    assert [(p.epoch, p.step, p.steps) for p in told] == [(1, 1, 6), (1, 2, 6), (1, 3, 6), (2, 4, 6), (2, 5, 6), (2, 6, 6)]
    assert told[-1].eta_seconds == 0
    assert all(p.images_per_second > 0 and np.isfinite(p.loss) for p in told)


def test_a_cancelled_fit_that_keeps_no_state_says_so():
    with pytest.raises(Cancelled, match="nothing of it is kept"):
        run(tiny(20), Hooks(on_epoch=lambda row: os.kill(os.getpid(), signal.SIGTERM)))


def test_a_loss_that_is_no_number_is_named_at_once():
    with pytest.raises(BadData, match=r"loss is nan.*learning_rate"):
        run(tiny(20, epochs=30, learning_rate=1e30))


@pytest.mark.parametrize("error", [
    RuntimeError("[enforce fail at alloc_cpu.cpp:75] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 B"),
    torch.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_memory_that_runs_out_is_named_with_the_remedy(error):
    with pytest.raises(OutOfMemory, match=r"batch_size 32 at 224 px: set a smaller batch_size"), named_failures(32, 224):
        raise error


def test_memory_that_really_runs_out_is_recognised():
    with pytest.raises(OutOfMemory), named_failures(8, 32):
        torch.empty(1 << 60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="size"), named_failures(8, 32):
        torch.ones(2) + torch.ones(3)


@pytest.mark.parametrize("balance", ["none", "weights", "sampler"])
def test_rare_labels_are_balanced_as_asked(balance):
    targets = np.array([0] * 90 + [1] * 10)
    weights = class_weights(targets, 3)
    np.testing.assert_allclose(weights[1] / weights[0], 3)  # the root of nine
    np.testing.assert_allclose(weights[targets].mean(), 1)
    assert weights[2] == 0
    drawn = [i for epoch in range(40) for i in _epoch(Order(100, 10, 0, Share(), chances=_chances(targets)), epoch)]
    assert np.mean(targets[drawn] == 1) == pytest.approx(0.25, abs=0.03)  # 30 to 90
    assert len({weights_digest(run(tiny(20, epochs=1, class_balance=balance)).net) for _ in range(2)}) == 1


def _chances(targets):
    weights = class_weights(targets, 3)[targets]
    return weights / weights.sum()


def _epoch(order, epoch):
    order.set_epoch(epoch)
    return [index for batch in order for index in batch]


def test_every_example_comes_once_an_epoch_in_an_order_of_seed_and_epoch():
    order = Order(21, 8, 1, Share())
    epochs = [_epoch(order, number) for number in (0, 1, 0)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(21))
    assert epochs[0] == epochs[2] != epochs[1]
    assert epochs[0] != _epoch(Order(21, 8, 2, Share()), 0)
    assert [len(batch) for batch in Order(17, 8, 1, Share())] == [8, 8]  # one image alone has no variance
    order.skip(2)
    assert _epoch(order, 0) == epochs[0][16:]


@pytest.mark.parametrize("examples", [16, 17, 18, 23, 3])
def test_devices_share_each_batch_and_take_equally_many(examples):
    orders = [Order(examples, 8, 1, Share(rank, 2)) for rank in (0, 1)]
    parts = [list(order) for order in orders]
    assert [len(batch) for batch in parts[0]] == [len(batch) for batch in parts[1]]
    whole = [index for batch in Order(examples, 8, 1, Share()) for index in batch]
    assert {index for part in parts for batch in part for index in batch} <= set(range(examples))
    assert set(whole[: examples // 8 * 8]) <= {index for part in parts for batch in part for index in batch}
    in_order = [list(Order(examples, 8, None, Share(rank, 2))) for rank in (0, 1)]
    assert sorted(i for part in in_order for batch in part for i in batch if i >= 0) == list(range(examples))
    assert len(in_order[0]) == len(in_order[1])


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    targets, logits = rng.integers(0, 4, 200), torch.tensor(rng.normal(size=(200, 4)))
    scores = Scores(5)
    for part in (slice(0, 150), slice(150, 200)):
        padded = torch.cat([logits[part], torch.zeros(2, 4)])
        wanted = torch.tensor([*targets[part], -1, -1])
        losses = torch.nn.functional.cross_entropy(padded, wanted, reduction="none", ignore_index=-1)
        scores.update(padded, wanted, losses)
    found, guess = scores.compute(), logits.argmax(1).numpy()
    assert found["accuracy"] == pytest.approx((guess == targets).mean())
    assert found["macro_f1"] == pytest.approx(f1_score(targets, guess, average="macro"))
    assert found["macro_recall"] == pytest.approx(recall_score(targets, guess, average="macro"))
    assert found["loss"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits, torch.tensor(targets))), rel=1e-5)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_every_augmentation_alters_images_and_keeps_them_images(strength):
    settings = dict.fromkeys(STRENGTHS, 0.0)
    assert augmentation(TrainingConfig(**settings)) is None
    assert augmentation(TrainingConfig(augment="off")) is None
    torch.manual_seed(0)
    images = torch.rand(16, 3, 40, 40)
    altered = augmentation(TrainingConfig(**settings | {strength: 1.0}))(images)
    assert altered.shape == images.shape
    assert altered.min() >= 0
    assert altered.max() <= 1 + 1e-6
    assert not torch.equal(altered, images)


@pytest.mark.parametrize(("wrong", "named"), [
    ({"monitor": "train_loss"}, "monitor"), ({"cutout": 2.0}, "cutout"), ({"class_balance": "magic"}, "class_balance"),
    ({"devices": 2, "batch_size": 9}, "equal parts"), ({"devices": 0}, "equal parts"), ({"patience": -1}, "patience"),
    ({"precision": "8"}, "precision"),
])
def test_a_course_that_cannot_be_taken_is_named(wrong, named):
    with pytest.raises(ConfigError, match=named):
        TrainingConfig(**wrong).resolved(100)
