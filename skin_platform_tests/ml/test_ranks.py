"""One fit on several processes: the gradients of the whole batch, the figures of all, one that tells and saves."""

import os
import signal
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.backbones import weights_digest
from skin_platform.ml.config import TrainingConfig
from skin_platform.ml.examples import LabelledFeatures
from skin_platform.ml.failures import BadData, Cancelled, TrainingError
from skin_platform.ml.fit import fit, fit_head, seeded_net
from skin_platform.ml.order import Order, Share
from skin_platform.ml.progress import Hooks
from skin_platform.ml.resume import Resumable
from skin_platform_tests.ml.examples import pictures, tiny

pytestmark = pytest.mark.slow


def features(n, seed):
    rng = np.random.default_rng(seed)
    targets = np.arange(n) % 2
    return LabelledFeatures((rng.normal(size=(n, 256)) + targets[:, None]).astype(np.float32), targets.astype(np.int64))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A config that trains a head on features of a folder's backbone, on two devices."""
    from skin_platform.ml.backbones import build_backbone

    folder = tmp_path_factory.mktemp("hub")
    torch.manual_seed(0)
    build_backbone(tiny(8)).save_pretrained(folder)
    return TrainingConfig(weights=str(folder), frozen=True, image_size_px=32, epochs=2, batch_size=8, devices=2, dropout=0.0,
                          accelerator="cpu", ema_decay=0.0).resolved(20)


def by_hand(config, train):
    """The same head after the same steps, its gradients the mean over the halves of each batch."""
    head = seeded_net(2, config).head.train()
    order = Order(20, 8, config.seed, Share())
    optimizer = torch.optim.AdamW(head.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * len(order), pct_start=0.2)
    for epoch in range(config.epochs):
        order.set_epoch(epoch)
        for batch in order:
            optimizer.zero_grad()
            for half in (batch[::2], batch[1::2]):
                inputs, targets = train.batch(half)
                loss = nn.functional.cross_entropy(head(inputs), targets, label_smoothing=config.label_smoothing)
                (loss / 2).backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return head


def test_two_processes_learn_what_one_would_from_the_whole_batch(frozen):
    train, held = features(20, 0), features(7, 1)
    rows = []
    result = fit_head(train, held, 2, frozen, Preprocessing(32), Hooks(on_epoch=rows.append))
    assert [row["epoch"] for row in rows] == [1, 2]  # told once, by one of the two
    expected = by_hand(frozen, train)
    for name in ("linear.weight", "linear.bias", "normalize.weight"):
        found, wanted = (head.get_parameter(name).detach() for head in (result.net.head, expected))
        np.testing.assert_allclose(found, wanted, atol=3e-6)
    with torch.no_grad():
        logits = result.net.head(torch.from_numpy(held.features))
    assert rows[-1]["val_accuracy"] == pytest.approx(float((logits.argmax(1).numpy() == held.targets).mean()))  # of all seven


def test_a_fit_of_several_processes_is_cancelled_and_gone_on_with(tmp_path):
    config, told = tiny(20, epochs=4, devices=2, accelerator="cpu"), []

    def run(hooks):
        return fit(pictures(20, 0), pictures(6, 1), 2, config, Preprocessing(32), hooks, Resumable(tmp_path, "inputs"))

    def cancel(row):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)

    with pytest.raises(Cancelled, match="goes on from there") as caught:
        run(Hooks(on_epoch=cancel))
    assert caught.value.signal_number == signal.SIGTERM
    resumed = run(Hooks(on_note=told.append))
    assert "going on" in told[0]
    assert len(resumed.history) == 4
    assert weights_digest(resumed.net) == weights_digest(run(Hooks()).net)


def test_what_fails_in_a_process_is_named_here_and_none_is_left_behind():
    import multiprocessing

    config = tiny(20, epochs=30, devices=2, accelerator="cpu", learning_rate=1e30)
    with pytest.raises(BadData, match="learning_rate"):
        fit(pictures(20, 0), pictures(6, 1), 2, config, Preprocessing(32))
    assert multiprocessing.active_children() == []

    def kill():
        while not multiprocessing.active_children():
            time.sleep(0.05)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TrainingError, match="without a word"):
        fit(pictures(20, 0), pictures(6, 1), 2, tiny(20, devices=2, accelerator="cpu"), Preprocessing(32))
    killer.join()
    assert multiprocessing.active_children() == []
