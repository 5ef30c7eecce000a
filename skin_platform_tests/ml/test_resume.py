"""A fit that is interrupted, wherever, ends as if nothing had happened."""

import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from skin_platform.core.preprocessing import Preprocessing
from skin_platform.ml.backbones import weights_digest
from skin_platform.ml.failures import Cancelled, TrainingError
from skin_platform.ml.fit import fit
from skin_platform.ml.progress import Hooks
from skin_platform.ml.resume import Resumable, resume_file
from skin_platform.ml.saving import Saving
from skin_platform_tests.deployments import ROOT
from skin_platform_tests.ml.examples import pictures, tiny

PROGRAM = """
import sys, torch
torch.set_num_threads(1)
from pathlib import Path
from skin_platform.ml.resume import Resumable
from skin_platform_tests.ml import test_resume
test_resume.child(Path(sys.argv[1]), sys.argv[2])
"""


def run(config, folder=None, hooks=None, train=20):
    resumable = Resumable(folder, "inputs") if folder else None
    return fit(pictures(train, 0), pictures(6, 1), 2, config, Preprocessing(32), hooks, resumable)


def figures(result):
    """The history without what depends on the machine's mood."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in result.history]


def child(folder, precision):
    """What the killed processes run."""
    hooks = Hooks(on_epoch=lambda row: print("epoch", flush=True), on_note=lambda note: print(note, flush=True))
    result = run(tiny(20, epochs=40, save_seconds=0.0, precision=precision), folder, hooks)
    print("digest", weights_digest(result.net), len(result.history), flush=True)


@pytest.mark.parametrize("settings", [
    {"batch_size": 8}, {"batch_size": 20, "epochs": 4},
    {"batch_size": 4, "patience": 2, "epochs": 4, "precision": "bf16-mixed"},
    {"batch_size": 8, "class_balance": "sampler", "monitor": "val_loss", "patience": 1},
], ids=["mid-epoch", "one batch an epoch", "early stopping in bf16", "sampler"])
def test_a_fit_resumed_from_any_of_its_states_ends_with_the_same_weights(tmp_path, monkeypatch, settings):
    config = tiny(20, save_seconds=0.0, **settings)
    states = tmp_path / "states"
    states.mkdir()
    save = Saving._save

    def keeping(self, trainer, batches):
        save(self, trainer, batches)
        shutil.copy2(self._file.path, states / f"{trainer.global_step:03}")

    with monkeypatch.context() as patch:
        patch.setattr(Saving, "_save", keeping)
        calm = run(config, tmp_path / "calm")
    assert not [path for path in (tmp_path / "calm").iterdir() if path.is_dir()]  # a finished fit leaves nothing
    kept = sorted(states.iterdir())
    assert len(kept) == len(calm.history) * -(-20 // config.batch_size)  # one before every step
    for state in random.Random(5).sample(kept, 3):
        folder = tmp_path / f"from-{state.name}"
        with resume_file(Resumable(folder, "inputs"), course_of(config, calm)) as file:
            file.folder.mkdir(parents=True)
            shutil.copy2(state, file.path)
        told = []
        resumed = run(config, folder, Hooks(on_note=told.append))
        assert f"step {int(state.name)}," in told[0]
        assert weights_digest(resumed.net) == weights_digest(calm.net), state.name
        assert figures(resumed) == figures(calm)
        assert (resumed.kept_epoch, resumed.ended_by) == (calm.kept_epoch, calm.ended_by)


def course_of(config, calm):
    return {"config": config.course(), "classes": 2, "preprocessing": Preprocessing(32).as_dict(),
            "backbone": calm.backbone_digest, "examples": [20, 6]}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_killed_processes_end_with_the_weights_of_an_uninterrupted_one(tmp_path, precision):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def through(folder):
        done = subprocess.run([sys.executable, "-c", PROGRAM, str(folder), precision], capture_output=True, text=True,
                              timeout=300, env=environment, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    expected = through(tmp_path / "calm").splitlines()[-1]
    assert expected.startswith("digest")
    moments, folder, resumed = random.Random(7), tmp_path / "killed", 0
    for _ in range(3):
        arguments = [sys.executable, "-c", PROGRAM, str(folder), precision]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
            for _ in range(moments.randint(3, 9)):
                resumed += "going on" in process.stdout.readline()
            time.sleep(moments.uniform(0, 0.05))
            process.kill()
    last = through(folder)
    assert "going on after step" in last
    assert resumed == 2
    assert last.splitlines()[-1] == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_fit_stops_at_the_next_step_and_can_be_gone_on_with(tmp_path, number):
    config = tiny(20, epochs=6)
    handlers = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    rows = []

    def cancel(row):
        rows.append(row)
        if len(rows) == 2:
            os.kill(os.getpid(), number)

    with pytest.raises(Cancelled, match="goes on from there") as caught:
        run(config, tmp_path, Hooks(on_epoch=cancel))
    assert (caught.value.signal_number, len(rows)) == (number, 2)
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == handlers
    assert weights_digest(run(config, tmp_path).net) == weights_digest(run(config).net)


def test_more_minutes_go_on_with_the_same_fit_but_another_seed_begins_its_own(tmp_path):
    def cancel(row):
        os.kill(os.getpid(), signal.SIGTERM)

    config = tiny(20, epochs=6)
    with pytest.raises(Cancelled):
        run(config, tmp_path, Hooks(on_epoch=cancel))
    told = []
    run(replace(config, seed=9), tmp_path, Hooks(on_note=told.append))
    [other] = told
    assert other.startswith("1 unfinished training(s) of other settings or another dataset, the newest saved at 2")
    assert other.endswith("this one starts from nothing")
    told.clear()
    run(replace(config, minutes=99.0), tmp_path, Hooks(on_note=told.append))
    assert len(told) == 1


class Payload:
    ran = False

    def __reduce__(self):
        return (exec, ("import skin_platform_tests.ml.test_resume as t; t.Payload.ran = True",))


@pytest.mark.parametrize("kind", ["cut", "foreign", "pickle", "zipped pickle", "empty"])
def test_a_state_that_cannot_be_believed_is_set_aside_and_said(tmp_path, kind):
    config = tiny(20, epochs=1)
    calm = run(config)
    with resume_file(Resumable(tmp_path, "inputs"), course_of(config, calm)) as file:
        file.folder.mkdir()
        if kind == "pickle":
            file.path.write_bytes(pickle.dumps(Payload()))
        else:
            torch.save({"key": Payload() if kind == "zipped pickle" else "another"}, file.path)
        if kind in ("cut", "empty"):
            data = file.path.read_bytes()
            file.path.write_bytes(data[: len(data) // 2] if kind == "cut" else b"")
    told = []
    again = run(config, tmp_path, Hooks(on_note=told.append))
    assert len(told) == 1
    assert "set aside" in told[0]
    assert "starts from nothing" in told[0]
    assert not Payload.ran
    assert weights_digest(again.net) == weights_digest(calm.net)


def test_two_processes_are_never_at_the_same_fit(tmp_path):
    config = tiny(20, epochs=1)
    with (resume_file(Resumable(tmp_path, "inputs"), course_of(config, run(config))),
          pytest.raises(TrainingError, match="another process")):
        run(config, tmp_path)
