"""What newcomers bring and do: tables of spreadsheets, names that nearly match, doubles, an interrupt in the middle."""

import csv
import os
import shutil
import signal
import subprocess
import time

import pytest

from skin_platform.adopting import adopt
from skin_platform.leftovers import alike, leftovers
from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.deployments import LABELS, SKIN, skin, small_delivery, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(tmp_path):
    found = load_settings(skin_home=tmp_path / "home")
    prepare_home(found)
    return found


def flattened(folder, rows_of, encoding="utf-8", delimiter=","):
    """A delivery of images in one folder, with a table that ``rows_of`` writes from (file name, label, patient)."""
    source = small_delivery(folder / "source", images=12)
    target = folder / "study"
    (target / "photos").mkdir(parents=True)
    with (source / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        shutil.copy(source / row["file"], target / "photos")
    with (target / "metadata.csv").open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows(rows_of([(row["file"].split("/")[1], row["label"], row["patient_id"]) for row in rows]))
    return target


@pytest.mark.parametrize(("rows_of", "encoding", "delimiter"), [
    (lambda rows: [("file", "label", "patient"), *((f"photos/{n}", x, p) for n, x, p in rows)], "cp1252", ";"),
    (lambda rows: [("file", "dx", "patient_id"), *((f"C:\\study\\images\\{n}", x, p) for n, x, p in rows)], "utf-8-sig", ","),
    (lambda rows: [("image_id", "dx", "patient_id"), *((n.removesuffix(".jpg"), x, p) for n, x, p in rows)], "utf-8", ","),
    (lambda rows: [("file", "label", "patient_id"), *((f"PHOTOS/{n.upper()}", x, p) for n, x, p in rows)], "utf-8", "\t"),
], ids=["spreadsheet", "windows paths", "no extension", "other case"])
def test_a_table_is_understood_as_people_write_it(settings, tmp_path, rows_of, encoding, delimiter):
    delivery = flattened(tmp_path, rows_of, encoding, delimiter)
    adopt(delivery, settings, lambda told: None)
    skin("ingest", "--home", settings.home.root, "--source", delivery)
    table = Stores(load_settings(skin_home=settings.home.root)).catalogue.read().to_pylist()
    assert len(table) == 12
    assert {row["label"] for row in table} == set(LABELS)
    assert all(row["patient_id"] for row in table)
    assert skin("quarantine", "--home", settings.home.root, "--json").stdout.strip() == "[]"


def test_a_table_that_cannot_be_used_stops_the_demo_rather_than_be_passed_over(tmp_path):
    delivery = small_delivery(tmp_path / "lab", images=6)
    (delivery / "manifest.csv").write_text("name,diagnosis code\nx,1\n", encoding="utf-8")
    done = skin("demo", "--data", delivery, "--home", tmp_path / "home", check=False)
    assert done.returncode == 1
    assert "manifest.csv cannot be used: no column 'file'" in done.stderr


def test_doubles_and_doubtful_images_are_told_by_name(settings, tmp_path):
    delivery = small_delivery(tmp_path / "lab", images=12)
    (delivery / "manifest.csv").unlink()
    first = sorted((delivery / LABELS[0]).iterdir())[0]
    shutil.copy(first, delivery / LABELS[0] / "again.jpg")
    shutil.copy(first, delivery / LABELS[1] / "other.jpg")
    adopt(delivery, settings, lambda told: None)
    skin("ingest", "--home", settings.home.root, "--source", delivery)
    stores = Stores(load_settings(skin_home=settings.home.root))
    notes = " ".join(leftovers(stores, sorted(stores.ledger.batch_ids())))
    assert "1 file(s) are byte-identical" in notes
    assert f"{LABELS[1]}/other.jpg" in notes
    assert "1 image(s) stand under two labels" in notes
    assert alike(["Mole", "mole", "wart"]) == ["the labels Mole and mole differ only in case or spaces, and are learnt as "
                                               "different ones"]


def test_an_interrupt_in_the_middle_is_told_and_the_next_walk_goes_on(tmp_path):
    delivery = small_delivery(tmp_path / "lab", images=18)
    home = tmp_path / "home"
    command = [SKIN, "demo", "--data", str(delivery), "--home", str(home), "--epochs", "1"]

    def heed() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    # while MLflow's database is being made; and, on the next walk, while a run is under way
    for folder, pattern in ((home / "mlflow", ".lock"), (home / "dagster" / "walks", "*")):
        former = set(folder.glob(pattern))  # of a walk that was broken off; the next one buries it
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                                   preexec_fn=heed)
        wait_for(lambda folder=folder, pattern=pattern, former=former: set(folder.glob(pattern)) - former, 60,
                 f"{pattern} in {folder}")
        time.sleep(0.4)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode != 0
        assert "Traceback" not in errors.split("error")[-1]
    done = skin(*command[1:], "--json")
    assert '"answer"' in done.stdout


def test_two_walks_on_one_new_home_do_not_harm_each_other(tmp_path):
    walks = []
    for name, seed in (("one", 1), ("two", 2)):
        delivery = small_delivery(tmp_path / name, images=15, seed=seed)
        command = [SKIN, "demo", "--data", str(delivery), "--home", str(tmp_path / "home"), "--epochs", "1"]
        walks.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    told = [walk.communicate(timeout=570) for walk in walks]  # on a machine that has other things to do
    assert [walk.returncode for walk in walks] == [0, 0], told
    stores = Stores(load_settings(skin_home=tmp_path / "home"))
    assert len(stores.catalogue.read()) == 30


def test_a_port_in_use_is_one_clear_error(walked):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = skin("serve", "--home", walked.home, "--port", taken.getsockname()[1], check=False)
    assert done.returncode == 1
    assert "is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_that_is_not_there_is_named(tmp_path):
    done = skin("trace", "abc", "--home", tmp_path / "nowhere", check=False)
    assert done.returncode == 1
    assert "nowhere does not exist" in done.stderr
