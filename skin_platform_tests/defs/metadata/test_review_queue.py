"""Promises of the review queue: planted wrong labels come first, a decision settles an image, nothing is asked twice."""

import csv
import hashlib
import json
import shutil

import pytest
from PIL import Image

from skin_platform.core.cleaning import cleaned
from skin_platform.dataset_template import render_dataset_config
from skin_platform.review import newest_queue
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform.synthetic.generate import generate
from skin_platform.synthetic.world import World
from skin_platform_tests.deployments import LABELS, skin

pytestmark = pytest.mark.slow
IMAGES, WRONG = 240, 0.05


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with 5 % planted wrong labels and a black picture, its queue made by the command; and the true label by image."""
    folder = tmp_path_factory.mktemp("review")
    delivery = folder / "delivery"
    generate(World(images=IMAGES, patients=80, labels=LABELS, seed=3, size_px=224, wrong_labels=WRONG), delivery)
    truth = {}
    with (delivery / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            truth[hashlib.sha256(cleaned((delivery / row["file"]).read_bytes())).hexdigest()] = row["true_label"]
    Image.new("RGB", (224, 224)).save(delivery / LABELS[0] / "black.png")
    settings = load_settings(skin_home=folder / "home")
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(sorted(LABELS)), encoding="utf-8")
    skin("ingest", "--home", settings.home.root, "--source", delivery)
    assert "skin review make" in skin("review", "list", "--home", settings.home.root, check=False).stderr
    skin("review", "make", "--home", settings.home.root)
    return settings.home.root, truth


@pytest.fixture
def home(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "home", symlinks=True)
    return tmp_path / "home"


def queue(home):
    return newest_queue(Stores(load_settings(skin_home=home)))[1]


def test_the_worst_five_per_cent_hold_wrong_labels_five_times_as_often_as_the_whole(made):
    home, truth = made
    told = json.loads(skin("review", "list", "--json", "--home", home).stdout.splitlines()[-1])
    assert [item["rank"] for item in told["items"]] == list(range(1, len(told["items"]) + 1))
    worst = [item for item in told["items"] if item["kind"] == "label"][: round(WRONG * IMAGES)]
    wrong = [item for item in worst if truth[item["sha256"]] != item["label"]]
    precision = len(wrong) / len(worst)
    right = sum(truth[item["sha256"]] == item["suggested_label"] for item in wrong)
    print(f"precision in the worst 5 %: {precision:.2f}, base rate {WRONG}; {right} of {len(wrong)} suggestions are right")
    assert precision >= 5 * WRONG
    assert right >= len(wrong) / 2


def test_a_picture_that_shows_nothing_is_queued_with_its_reason(made):
    [item] = [item for item in queue(made[0]) if item.kind == "quality"]
    assert item.reason.startswith("blank")
    assert item.sha256 not in made[1]


def test_a_decision_for_a_label_that_nobody_delivered_settles_the_image(made, home):
    item = next(item for item in queue(home) if made[1].get(item.sha256) == item.suggested_label)
    skin("resolve", item.sha256[:16], "--label", item.suggested_label, "--why", "looked again", "--home", home)
    assert item.sha256 not in {left.sha256 for left in queue(home)}
    stores = Stores(load_settings(skin_home=home))
    rows = stores.catalogue.rows_of([item.sha256]).to_pylist()
    assert {row["label"]: row["exclusion"] for row in rows} == {item.label: "overruled", item.suggested_label: None}
    skin("review", "make", "--home", home)
    assert item.sha256 not in {left.sha256 for left in queue(home)}
    wrong = skin("resolve", item.sha256[:16], "--label", "zrat", "--why", "x", "--home", home, check=False)
    assert "no label here" in wrong.stderr
