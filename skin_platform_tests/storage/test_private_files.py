"""Promises of private files: names of patients' files are for nobody else on the machine."""

import os
from pathlib import Path

import pytest

from skin_platform.core.batches import Delivery
from skin_platform.settings import load_settings
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.quarantine import Quarantined
from skin_platform.storage.stores import Stores, prepare_home
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.storage.deliveries import drop


@pytest.fixture
def umask():
    """That of most machines: what is made can be read by everybody."""
    former = os.umask(0o022)
    yield
    os.umask(former)


def open_to_others(*folders: Path) -> list[str]:
    """Files that another user could open: readable, below folders that can all be entered."""
    found = []
    for top in folders:
        for folder, folders_in, files in os.walk(top):
            folders_in[:] = [name for name in folders_in if (Path(folder) / name).stat().st_mode & 0o001]
            found += [f"{folder}/{name}" for name in files if (Path(folder) / name).stat().st_mode & 0o004]
    return found


@pytest.mark.usefixtures("umask")
def test_nobody_else_can_read_original_names(tmp_path):
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    drop(settings.home.landing, {"irregular/Mustermann.jpg": jpeg(1)})
    stores = Stores(settings)
    [delivery] = stores.claim(settle_seconds=0)
    stores.batches.write_names(delivery.batch_id, {"f": "irregular/Mustermann.jpg"})
    entry = Quarantined(delivery.batch_id, "f", delivery.root, "irregular/Mustermann.jpg", "cut", None, "file")
    stores.quarantine.add(delivery, [("f", entry.file, "cut")])
    data = settings.home.objects / settings.s3_bucket_data
    stores.objects.upload_file(settings.s3_bucket_data, "private/deep/er/x.json", b"{}", {"of": "Mustermann"})
    stores.objects.upload_file(settings.s3_bucket_data, "private/once.json", b"{}", {"of": "Mustermann"}, only_if_absent=True)
    stores.objects.upload_file(settings.s3_bucket_data, "seen/by/all.json", b"{}", {"a": "b"})
    OnlineStore(settings.online_url).upgrade()
    holding = [path for path in settings.home.root.rglob("*") if path.is_file() and b"Mustermann" in path.read_bytes()]
    assert {path.relative_to(settings.home.root).parts[0] for path in holding} == {"objects", "landing.db"}
    readable = open_to_others(settings.home.objects, settings.home.root)
    assert [path for path in readable if "private" in path or Path(path) in holding or path.endswith(".db")] == []
    assert f"{data}/seen/by/all.json" in readable
    for path in [*(data / "private").rglob("*"), *(data / ".metadata/private").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    assert {(settings.home.root / name).stat().st_mode & 0o777 for name in ("landing.db", "online.db")} == {0o600}


@pytest.mark.usefixtures("umask")
def test_what_a_former_version_left_open_is_closed_when_it_is_written_again(tmp_path):
    settings = load_settings(skin_home=tmp_path / "home")
    prepare_home(settings)
    data = settings.home.objects / settings.s3_bucket_data
    drop(data, {"private/batches/b/delivery.json": b"{}", "private/batches/c/delivery.json": b"{}"})
    settings.home.ledger.touch()
    stores = Stores(settings)
    stores.batches.write_delivery(Delivery("b", "/in", "", ()))
    assert stores.ledger.open_batches() == []
    assert open_to_others(data / "private") == []
    assert (data / "private").stat().st_mode & 0o777 == 0o700
    assert settings.home.ledger.stat().st_mode & 0o777 == 0o600
