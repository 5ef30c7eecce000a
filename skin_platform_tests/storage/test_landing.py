"""Promises of the landing folder: everything settled is claimed once, nothing half-written, nothing forgotten."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest

from skin_platform.core.delivery_tables import is_table
from skin_platform.storage.landing import look
from skin_platform.storage.ledger import LandingLedger, OpenBatch
from skin_platform.storage.places import LandingFolder
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.storage.deliveries import KeptInMemory, claimed, drop, landed, now, scan


@pytest.fixture
def root(tmp_path):
    """An empty landing folder."""
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


@pytest.fixture
def ledger(tmp_path):
    """A ledger beside it."""
    ledger = LandingLedger(tmp_path / "state" / "landing.db")
    yield ledger
    ledger.dispose()


def _names(delivery, root):
    return [os.path.relpath(file.path, root) for file in delivery.files]


def _just_after(path):
    """A tenth of a second after ``path`` was touched, however busy the machine is."""
    return datetime.fromtimestamp(path.stat().st_ctime, UTC) + timedelta(seconds=0.1)


def _rewrite(path, data):
    """Write ``data`` and make sure that the modification time differs, however coarse the clock is."""
    before = path.stat().st_mtime_ns
    path.write_bytes(data)
    os.utime(path, ns=(before + 10**6, before + 10**6))


def test_a_scan_passes_hidden_files_over(root):
    drop(root, {"b/2.jpg": b"", "b/10.jpg": b"", "a/x.jpg": b"", "a/.hidden.jpg": b"", ".git/x.jpg": b"",
                "__MACOSX/a/x.jpg": b"", ".DS_Store": b"", "z.jpg": b"abc"})
    assert {os.path.relpath(file.path, root): file.size_bytes for file in scan(root)} == {
        "z.jpg": 3, "a/x.jpg": 0, "b/10.jpg": 0, "b/2.jpg": 0}


def test_a_broken_link_does_not_stop_the_scan(root):
    drop(root, {"a.jpg": b"x"})
    (root / "nowhere.jpg").symlink_to(root / "gone")
    (root / "itself.jpg").symlink_to(root / "itself.jpg")
    assert [os.path.basename(file.path) for file in scan(root)] == ["a.jpg"]


def test_an_empty_or_missing_folder_has_nothing_to_claim(root, ledger):
    assert claimed(root, ledger) == []
    assert claimed(root / "missing", ledger) == []


def test_a_file_is_claimed_once(root, ledger):
    drop(root, {"nevus/b.jpg": b"b", "nevus/a.jpg": b"a"})
    [delivery] = claimed(root, ledger)
    assert _names(delivery, root) == ["nevus/a.jpg", "nevus/b.jpg"]
    assert delivery.root == str(root)
    assert delivery.batch_id.endswith("-clinic")
    assert claimed(root, ledger) == []


def test_a_half_written_file_is_left_and_comes_with_a_later_look(root, ledger):
    drop(root, {"nevus/a.jpg": b"a"})
    time.sleep(0.3)
    drop(root, {"nevus/growing.jpg": b"half"})
    [delivery] = claimed(root, ledger, 9, 0.25, _just_after(root / "nevus/growing.jpg"))
    assert _names(delivery, root) == ["nevus/a.jpg"]
    time.sleep(0.3)
    [later] = claimed(root, ledger, settle_seconds=0.25)
    assert _names(later, root) == ["nevus/growing.jpg"]
    assert later.batch_id == f"{delivery.batch_id}-2"


def test_a_file_with_an_old_or_a_future_time_is_claimed_once_nothing_touched_it_for_a_while(root, ledger):
    drop(root, {"nevus/old.jpg": b"a", "nevus/future.jpg": b"b"})
    os.utime(root / "nevus/old.jpg", (1, 1))
    os.utime(root / "nevus/future.jpg", (time.time() + 10**7,) * 2)
    assert claimed(root, ledger, settle_seconds=60) == []
    later = now() + timedelta(seconds=61)
    [delivery] = claimed(root, ledger, 100, 60, later)
    assert _names(delivery, root) == ["nevus/future.jpg", "nevus/old.jpg"]


def test_files_below_a_table_that_is_still_being_written_wait_with_it(root, ledger):
    drop(root, {"x/a.jpg": b"a", "b.jpg": b"b"})
    time.sleep(0.3)
    drop(root, {"x/manifest.csv": b"file,label\n"})
    [delivery] = claimed(root, ledger, 9, 0.25, _just_after(root / "x/manifest.csv"))
    assert _names(delivery, root) == ["b.jpg"]


def test_the_same_content_written_again_changes_nothing(root, ledger):
    drop(root, {"nevus/a.jpg": jpeg(1)})
    landed(root, ledger)
    _rewrite(root / "nevus/a.jpg", jpeg(1))
    assert claimed(root, ledger) == []
    assert ledger.stamps(str(root))[str(root / "nevus/a.jpg")][1] == (root / "nevus/a.jpg").stat().st_mtime_ns


def test_changed_content_is_claimed_anew_even_of_the_same_size(root, ledger):
    drop(root, {"nevus/a.jpg": jpeg(1), "nevus/b.jpg": jpeg(2)})
    landed(root, ledger)
    data = bytearray(jpeg(1))
    data[-3] ^= 1
    _rewrite(root / "nevus/a.jpg", bytes(data))
    [delivery] = claimed(root, ledger)
    assert _names(delivery, root) == ["nevus/a.jpg"]
    assert claimed(root, ledger) == []


def test_a_new_table_brings_the_files_below_it_along(root, ledger):
    drop(root, {"x/a.jpg": b"a", "x/deep/b.jpg": b"b", "y/c.jpg": b"c"})
    claimed(root, ledger)
    drop(root, {"x/manifest.csv": b"file,label\na.jpg,nevus\n"})
    [delivery] = claimed(root, ledger)
    assert _names(delivery, root) == ["x/a.jpg", "x/deep/b.jpg"]
    assert delivery.tables == (str(root / "x/manifest.csv"),)
    _rewrite(root / "x/manifest.csv", b"file,label\na.jpg,nevus\n")
    assert claimed(root, ledger) == []
    _rewrite(root / "x/manifest.csv", b"file,label\na.jpg,melan\n")
    assert _names(claimed(root, ledger)[0], root) == ["x/a.jpg", "x/deep/b.jpg"]


def test_a_table_without_files_is_no_batch(root, ledger):
    drop(root, {"manifest.csv": b"file,label\n"})
    assert claimed(root, ledger) == []


def test_batches_are_bounded_and_stand_in_order_of_time(root, ledger):
    drop(root, {f"nevus/{number:02}.jpg": b"x" for number in range(7)} | {"metadata.csv": b"file\n"})
    deliveries = claimed(root, ledger, max_files=3)
    assert [len(delivery.files) for delivery in deliveries] == [3, 3, 1]
    assert [bool(delivery.tables) for delivery in deliveries] == [True, False, False]
    assert len({delivery.batch_id for delivery in deliveries}) == 3
    assert [delivery.claimed_at for delivery in deliveries] == sorted({delivery.claimed_at for delivery in deliveries})
    assert [batch.batch_id for batch in ledger.open_batches()] == [delivery.batch_id for delivery in deliveries]


def test_a_named_batch_takes_everything(root, ledger):
    drop(root, {f"nevus/{number}.jpg": b"x" for number in range(5)})
    [delivery] = claimed(root, ledger, 2, batch_id="2026-05-01-mine")
    assert (delivery.batch_id, len(delivery.files)) == ("2026-05-01-mine", 5)


def test_files_that_are_not_wanted_stay_unclaimed(root, ledger):
    drop(root, {"nevus/a.jpg": b"a", "nevus/b.jpg": b"b"})
    [delivery] = claimed(root, ledger, wanted=lambda file: file.path.endswith("a.jpg"))
    assert _names(delivery, root) == ["nevus/a.jpg"]
    assert _names(claimed(root, ledger)[0], root) == ["nevus/b.jpg"]


def test_the_ledger_survives_being_opened_again(root, ledger, tmp_path):
    drop(root, {"nevus/a.jpg": jpeg(1)})
    delivery, _ = landed(root, ledger)
    again = LandingLedger(tmp_path / "state" / "landing.db")
    assert again.stamps(str(root)) == ledger.stamps(str(root))
    assert again.batch_ids() == {delivery.batch_id}
    assert again.open_batches() == [OpenBatch(delivery.batch_id, delivery.digest, str(root))]
    again.close_batch(delivery.batch_id, now())
    assert ledger.open_batches() == []
    assert claimed(root, again) == []
    again.dispose()


def test_a_lost_ledger_claims_everything_again(root, ledger, tmp_path):
    drop(root, {"nevus/a.jpg": b"a"})
    [first] = claimed(root, ledger)
    other = LandingLedger(tmp_path / "other.db")
    assert claimed(root, other)[0].digest == first.digest
    other.dispose()


def test_a_claim_that_cannot_be_kept_is_none(root, ledger):
    drop(root, {"nevus/a.jpg": b"a"})

    class Away(KeptInMemory):
        def write_delivery(self, delivery):
            raise ConnectionError("the object store is away")

    with pytest.raises(ConnectionError):
        claimed(root, ledger, kept=Away())
    assert ledger.stamps(str(root)) == {}
    assert ledger.batch_ids() == set()
    assert len(claimed(root, ledger)) == 1


def test_a_name_that_is_not_utf8_is_claimed_once(root, ledger):
    drop(root, {os.fsdecode(b"nevus/caf\xe9.jpg"): b"x", "nevus/caf\u00e9.jpg": b"y"})
    [delivery] = claimed(root, ledger)
    assert len(delivery.files) == 2
    assert claimed(root, ledger) == []
    assert os.fsdecode(os.fsencode(root) + b"/nevus/caf\xe9.jpg") in ledger.stamps(str(root))


def test_looking_changes_nothing_in_the_folder(root, ledger):
    drop(root, {"nevus/a.jpg": b"a", "manifest.csv": b"file\n"})
    before = scan(root)
    claimed(root, ledger)
    assert scan(root) == before


def test_a_table_is_known_by_its_name_in_any_case():
    assert is_table("/x/Manifest.CSV")
    assert not is_table("/x/manifest.csv.jpg")


def test_a_file_rewritten_alike_is_told_of_and_not_given(root, ledger):
    drop(root, {"nevus/a.jpg": jpeg(1)})
    landed(root, ledger)
    _rewrite(root / "nevus/a.jpg", jpeg(1))
    found = look(LandingFolder(root), ledger, now(), 0)
    assert found.files == []
    assert [os.path.basename(file.path) for file in found.alike] == ["a.jpg"]
