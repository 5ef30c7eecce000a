"""Promises of a delivery's tables: which row means which file, and that nothing is settled by which came last."""

from dataclasses import replace

import pytest

from skin_platform.core.layout import Vocabulary
from skin_platform.storage.ingest import judge_delivery
from skin_platform.storage.ledger import LandingLedger
from skin_platform_tests.core.pictures import jpeg
from skin_platform_tests.storage.deliveries import COLUMNS, RULES, VOCABULARY, claimed, drop

FREE = replace(RULES, vocabulary=Vocabulary((), VOCABULARY.splits, COLUMNS))


def judged(root, files, rules=RULES):
    """The files of one delivery with their verdicts, by name: (reason in full, manifest row)."""
    drop(root, {name: data if isinstance(data, bytes) else jpeg(data) for name, data in files.items()})
    ledger = LandingLedger(None)
    [delivery] = claimed(root, ledger)
    ledger.dispose()
    return {item.name: (item.in_full or item.reason, item.row) for item in judge_delivery(delivery, rules, {})}


def reasons(root, files, rules=RULES):
    return {name: reason for name, (reason, _) in judged(root, files, rules).items()}


def test_two_rows_that_disagree_keep_their_file_out_and_the_same_row_twice_does_not(tmp_path):
    table = b"file,label,patient_id\na.jpg,nevus,P1\na.jpg,nevus,P1\nb.jpg,nevus,P1\nb.jpg,nevus,P2\n"
    assert reasons(tmp_path, {"a.jpg": 1, "b.jpg": 2, "manifest.csv": table}) == {
        "a.jpg": None, "b.jpg": "two rows of manifest.csv disagree: patient_id"}


def test_two_tables_side_by_side_complement_each_other_and_where_they_disagree_the_file_is_refused(tmp_path):
    found = judged(tmp_path, {
        "a.jpg": 1, "b.jpg": 2, "Manifest.csv": b"file,label\na.jpg,nevus\nb.jpg,nevus\n",
        "metadata.csv": "file,label,age\na,,7\nb.jpg,Mélanome à voir,8\n".encode()})
    assert found["a.jpg"][0] is None
    assert (found["a.jpg"][1]["label"], found["a.jpg"][1]["age"]) == ("nevus", "7")
    assert found["b.jpg"][0] == "manifest.csv and metadata.csv disagree: label"


def test_a_row_that_fits_several_files_settles_none_and_one_with_the_path_does(tmp_path):
    files = {"nevus/0.jpg": 1, "nevus/more/0.JPG": 2, "nevus/1.jpg": 3, "nevus/more/1.jpg": 4, "nevus/more/2.jpg": 5,
             "nevus/2.txt": b"notes"}
    table = b"file,age\n0.jpg,40\nnevus/1.jpg,41\nmore/1.jpg,42\n2,43\n"
    found = judged(tmp_path, {**files, "manifest.csv": table})
    told = "the row '0.jpg' fits 2 files: give the path inside the delivery"
    assert {name: reason for name, (reason, _) in found.items()} == {
        "nevus/0.jpg": told, "nevus/more/0.JPG": told, "nevus/1.jpg": None, "nevus/more/1.jpg": None, "nevus/more/2.jpg": None,
        "nevus/2.txt": "the extension .txt is not one of .jpg, .jpeg, .png"}
    assert [found[f"nevus/{name}"][1]["age"] for name in ("1.jpg", "more/1.jpg", "more/2.jpg")] == ["41", "42", "43"]
    assert "0.jpg" not in found["nevus/0.jpg"][1]["reason"]


def test_rows_of_the_same_file_under_other_names_that_disagree_refuse_it_too(tmp_path):
    table = b"file,age\nA,40\na.JPEG,41\nb,1\nB,1\n"
    assert reasons(tmp_path, {"nevus/a.jpg": 1, "nevus/b.jpg": 2, "manifest.csv": table}) == {
        "nevus/a.jpg": "two rows of manifest.csv disagree: age", "nevus/b.jpg": None}


def test_without_configured_labels_a_folder_that_is_a_label_of_the_delivery_contradicts_the_table(tmp_path):
    files = {"one/nevus/a.jpg": 1, "one/nevus/b.jpg": 2, "one/rot/c.jpg": 3,
             "one/manifest.csv": b"file,label\nnevus/a.jpg,rot\nnevus/b.jpg,nevus\nrot/c.jpg,rot\n",
             "two/zart/d.jpg": 4, "two/zart/e.jpg": 5, "two/manifest.csv": b"file,label\nzart/d.jpg,rot\n",
             "three/images/f.jpg": 6, "three/images/g.jpg": 7, "three/manifest.csv": b"file,label\nf.jpg,rot\ng.jpg,nevus\n"}
    told = "two labels: the folder says '{}', the table says 'rot'"
    assert {name: reason for name, reason in reasons(tmp_path, files, FREE).items() if reason} == {
        "one/nevus/a.jpg": told.format("nevus"), "two/zart/d.jpg": told.format("zart")}


@pytest.mark.parametrize(("table", "told"), [
    (b"file,patient_id\na.jpg,P1\n", "no label: the table has no label column (it has: file, patient_id)"),
    (b"file,label\na.jpg,\n", "the label 'Session 7' is not in the configuration"),
    (b"bild,befund\na.jpg,nevus\n", "no label: manifest.csv cannot be read: no column 'file' among bild, befund"),
])
def test_a_file_without_a_label_says_what_its_table_lacks(tmp_path, table, told):
    found = reasons(tmp_path, {"a.jpg": 1, "Session 7/a.jpg": 2, "Session 7/manifest.csv": table, "nevus/b.jpg": 3,
                               "nevus/manifest.csv": table.replace(b"a.jpg", b"b.jpg")})
    assert found["Session 7/a.jpg"].startswith(told)
    assert found["a.jpg"].startswith("no label: the file stands in no label folder")
    assert found["nevus/b.jpg"] is None


def test_a_table_in_utf_16_is_read(tmp_path):
    assert reasons(tmp_path, {"a.jpg": 1, "manifest.csv": "file;label\r\na.jpg;Mélanome à voir\r\n".encode("utf-16")}) == {
        "a.jpg": None}
