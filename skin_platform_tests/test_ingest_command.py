"""Promises of `skin ingest`: its plan counts every file that lies there, and its exit code tells whether anything was taken."""

import json
import os
from collections import Counter

import pytest
from typer.testing import CliRunner

from skin_platform.cli import app
from skin_platform.dataset_template import render_dataset_config
from skin_platform.ingesting import Outcome, ingest_now
from skin_platform.planning import plan_ingest
from skin_platform.settings import WEAK_KEY, load_settings
from skin_platform.storage.places import LEADS_OUT
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.deployments import free_port
from skin_platform_tests.storage.deliveries import drop


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A fresh home with one label."""
    for name in ("SKIN_HOME", "DAGSTER_HOME", "BENTOML_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))  # the commands set them; the next test has its own
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    settings.home.dataset_config.write_text(render_dataset_config(["nevus"], "clinic"), encoding="utf-8")
    return settings


def skin(settings, *arguments):
    """`skin ingest` in this process: exit code, what it printed."""
    done = CliRunner().invoke(app, ["ingest", "--home", str(settings.home.root), *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def counts(settings, source=None):
    return {fate: count for fate, count in plan_ingest(settings, source, []).counts.items() if count}


def files_in(folder):
    """Everything below a folder that is none; a link to a folder is one file."""
    return sum(len(files) + sum(os.path.islink(os.path.join(root, name)) for name in folders)
               for root, folders, files in os.walk(folder))


def ingested(settings, tell=lambda told: None):
    return ingest_now(load_settings(skin_home=settings.home.root), None, [], tell)


def strew(folder):
    """What nobody meant to deliver."""
    drop(folder, {".hidden.jpg": jpeg(1), ".tmp/x.jpg": jpeg(1), "__MACOSX/nevus/y.jpg": jpeg(1), "._nevus": b""})
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "nowhere.jpg").symlink_to(folder / "not there.jpg")
    (folder / "round").symlink_to(folder, target_is_directory=True)


@pytest.mark.slow
def test_the_counts_of_a_plan_add_up_to_the_files_there_before_and_after(settings):
    landing = settings.home.landing
    drop(landing, {"nevus/a.jpg": jpeg(1), "nevus/again.jpg": jpeg(1), "nevus/cut.jpg": jpeg(2)[:-300], "other/b.jpg": jpeg(3),
                   "nevus/no.jpg": jpeg(4), "nevus/manifest.csv": b"file,consent\nno.jpg,No\nabsent.jpg,yes\n"})
    strew(landing)
    (landing / "nevus/passwd.jpg").symlink_to("/etc/passwd")
    first = counts(settings)
    left = {"tables": 1, "hidden or special, left alone": 8}
    assert first == {"new": 1, "already there": 1, "kept out": 1, "quarantined": 3} | left
    assert sum(first.values()) == files_in(landing)
    [remark] = plan_ingest(settings, None, []).remarks
    assert (remark.file, remark.why) == ("nevus/absent.jpg", "listed in the table, but not delivered")
    assert ingested(settings) == Outcome(files=6, taken=3, kept_out=1, remarks=1)
    assert counts(settings) == {"landed before": 3, "in quarantine, unchanged": 3} | left
    stores = Stores(settings)
    assert {row["exclusion"] for row in stores.catalogue.read().to_pylist()} == {None, "no consent"}
    assert skin(settings, "--strict")[0] == 0  # nothing new: nothing refused
    drop(landing, {"nevus/c.jpg": jpeg(5)})
    stores.claim(settle_seconds=0)
    assert counts(settings) == {"landed before": 3, "in quarantine, unchanged": 3, "claimed by an unfinished batch": 1} | left
    told = skin(settings, "--dry-run")[1]
    assert "1 claimed by an unfinished batch" in told
    assert "`skin ingest` finishes what was claimed" in told


@pytest.mark.slow
def test_a_file_that_vanished_before_it_was_stored_is_judged_again_when_it_is_back(settings):
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2)})
    path = settings.home.landing / "nevus/b.jpg"
    seen = path.stat()

    def take_away(told):
        if (told.asset, told.kind) == ("raw/images", "made"):
            path.rename(settings.home.root / "elsewhere.jpg")

    assert ingested(settings, take_away) == Outcome(files=2, taken=1)
    [entry] = Stores(settings).quarantine.entries(Stores(settings).ledger)
    assert entry.reason == "gone before it could be stored"
    (settings.home.root / "elsewhere.jpg").rename(path)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert counts(settings) == {"new": 1, "landed before": 1}
    assert ingested(settings) == Outcome(files=1, taken=1)
    assert counts(settings) == {"landed before": 2}


@pytest.mark.slow
def test_an_ingest_that_took_nothing_ends_with_2_and_says_so(settings):
    drop(settings.home.landing, {"other/a.jpg": jpeg(1), "nevus/b.txt": b"x"})
    for arguments, told in ((["--dry-run"], "0 of 2 file(s) would be taken; 2 would be refused"),
                            ([], "0 of 2 file(s) taken; 2 refused (`skin quarantine` lists them)")):
        code, output = skin(settings, *arguments)
        assert (code, told in output) == (2, True), output
    assert skin(settings)[0] == 0  # nothing new
    drop(settings.home.landing, {"nevus/c.jpg": jpeg(1), "nevus/d.jpg": jpeg(2)})
    path = settings.home.landing / "nevus/c.jpg"
    told = []

    def take_away(what):
        told.append(what)
        if (what.asset, what.kind) == ("raw/images", "made"):
            for name in ("c.jpg", "d.jpg"):
                path.with_name(name).unlink()

    assert ingested(settings, take_away) == Outcome(files=2, taken=0)
    assert any("DOES NOT HOLD: something of the batch was stored" in line.text for line in told)


def test_the_plan_tells_the_exit_code_of_a_strict_ingest(settings):
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1), "nevus/b.txt": b"x"})
    assert skin(settings, "--dry-run")[0] == 0
    code, output = skin(settings, "--dry-run", "--strict", "--json")
    plan = json.loads(output.splitlines()[-1])
    assert (code, plan["outcome"]) == (3, {"files": 2, "taken": 1, "kept_out": 0, "remarks": 0, "refused": 1})
    assert plan["files_there"] == 2


def test_files_of_other_splits_are_counted_too(settings):
    drop(settings.home.landing, {"train/nevus/a.jpg": jpeg(1), "test/nevus/b.jpg": jpeg(2)})
    plan = plan_ingest(settings, None, ["train"])
    assert {fate: count for fate, count in plan.counts.items() if count} == {"new": 1, "of other splits": 1}


def test_a_plan_warns_of_a_weak_key_where_patients_are_named(settings, monkeypatch):
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1)})
    assert plan_ingest(settings, None, []).warnings == ()
    drop(settings.home.landing, {"manifest.csv": b"file,patient_id\nnevus/a.jpg,P1\n"})
    assert plan_ingest(settings, None, []).warnings == (WEAK_KEY,)
    assert skin(settings, "--dry-run")[1].count("warning: SKIN_PSEUDONYM_KEY is") == 1
    monkeypatch.setenv("SKIN_PSEUDONYM_KEY", "a key of our own")
    assert plan_ingest(load_settings(skin_home=settings.home.root), None, []).warnings == ()


def test_no_control_character_and_no_markup_of_a_delivery_reaches_the_terminal(settings):
    drop(settings.home.landing, {"nevus/\x1b[2J\x07[red]b\x9b.txt": b"x", "\x1b]0;own\x07/a.jpg": jpeg(1),
                                 os.fsdecode(b"n\xe9.txt"): b""})
    code, output = skin(settings, "--dry-run")
    assert code == 2
    assert not any(not c.isprintable() and c != "\n" for c in output)
    assert "[red]" in "".join(output.split("\n"))
    names = Counter(file["file"] for file in json.loads(skin(settings, "--dry-run", "--json")[1].splitlines()[-1])["files"])
    assert "n\\udce9.txt" in names


def test_a_link_out_of_the_delivery_is_refused_and_never_opened(settings, tmp_path):
    drop(tmp_path, {"secret/x.jpg": jpeg(9), "secret/manifest.csv": b"file,label\na.jpg,nevus\n"})
    drop(settings.home.landing, {"nevus/a.jpg": jpeg(1), "more/b.jpg": jpeg(2)})
    (settings.home.landing / "nevus/out.jpg").symlink_to(tmp_path / "secret/x.jpg")
    (settings.home.landing / "nevus/in.jpg").symlink_to("a.jpg")
    (settings.home.landing / "more/manifest.csv").symlink_to(tmp_path / "secret/manifest.csv")
    os.utime(tmp_path / "secret/x.jpg", (1, 1))
    plan = plan_ingest(settings, None, [])
    fates = {file.file: (file.fate, file.why) for file in plan.files}
    assert fates["nevus/out.jpg"] == ("quarantined", f"unreadable: {LEADS_OUT}")
    assert fates["nevus/in.jpg"][0] == "already there"
    assert fates["more/b.jpg"][1].startswith("no label: manifest.csv cannot be read: a link that leads out")
    assert [remark.file for remark in plan.remarks] == ["more/manifest.csv"]
    assert (tmp_path / "secret/x.jpg").stat().st_atime == 1


def test_a_store_that_nobody_answers_at_is_said_soon_with_a_line_while_waiting(settings, monkeypatch):
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("S3_ENDPOINT", address)
    with pytest.raises(RuntimeError, match=f"nobody answers at {address}: check S3_ENDPOINT"):
        skin(settings, "--dry-run")
    told = CliRunner().invoke(app, ["ingest", "--home", str(settings.home.root), "--dry-run"]).output
    assert told.count(f"{address} does not answer") == 2
