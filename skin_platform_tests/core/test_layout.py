"""Promises of the layouts: what the place of a file and its table say of it."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skin_platform.core.delivery_tables import TableError, decoded, labels_delivered, read_table
from skin_platform.core.layout import Misplaced, Placed, Vocabulary, place

SPLITS = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "test"}
COLUMNS = {"file": ["file", "image"], "label": ["label", "dx"], "split": ["split"], "patient_id": ["patient_id"],
           "age": ["age"]}
WORDS = Vocabulary(("nevus", "Mélanome à voir"), SPLITS, COLUMNS)
FREE = Vocabulary((), SPLITS, COLUMNS)


@pytest.mark.parametrize(("path", "label", "split"), [
    ("train/nevus/a.jpg", "nevus", "train"),
    ("Training/nevus/a.jpg", "nevus", "train"),
    ("VALIDATION/Mélanome à voir/ü b.JPEG", "Mélanome à voir", "val"),
    ("nevus/a.png", "nevus", None),
    ("nevus/test/a.png", "nevus", "test"),
    ("2024 export/clinic 7/train/nevus/camera/a.png", "nevus", "train"),
    ("train/test/nevus/a.png", "nevus", "test"),
])
def test_folders_give_label_and_split(path, label, split):
    assert place(PurePosixPath(path), None, WORDS) == Placed(label, split, {})


def test_without_a_configuration_the_last_folder_is_the_label():
    assert place(PurePosixPath("delivery/train/Spitz nævus/a.jpg"), None, FREE) == Placed("Spitz nævus", "train", {})


def test_without_a_configuration_a_split_folder_is_no_label():
    assert "no label" in place(PurePosixPath("delivery/train/a.jpg"), None, FREE).reason


def test_a_flat_file_takes_label_split_and_attributes_from_its_row():
    row = {"label": "nevus", "split": "Validation", "age": "40"}
    assert place(PurePosixPath("a.jpg"), row, WORDS) == Placed("nevus", "val", {"age": "40"})


def test_a_row_without_a_split_leaves_that_of_the_folder():
    assert place(PurePosixPath("test/nevus/a.jpg"), {"label": "nevus"}, WORDS).split == "test"


@pytest.mark.parametrize(("path", "row", "words", "reason"), [
    ("a.jpg", None, WORDS, "no label: the file stands in no label folder and no manifest.csv names it"),
    ("train/a.jpg", {}, WORDS, "no label"),
    ("keratosis/a.jpg", None, WORDS, "the label 'keratosis' is not in the configuration (nevus, Mélanome à voir)"),
    ("Nevus/a.jpg", None, WORDS, "the label 'Nevus' is not"),
    ("a.jpg", {"label": "keratosis"}, WORDS, "the label 'keratosis' is not"),
    ("nevus/a.jpg", {"label": "Mélanome à voir"}, WORDS, "two labels: the folder says 'nevus', the table says 'Mélanome"),
    ("nevus/a.gif", None, WORDS, "the extension .gif is not one of .jpg, .jpeg, .png"),
    ("nevus/a", None, WORDS, "the extension (none) is not"),
    ("nevus/.jpg", None, WORDS, "the extension (none) is not"),
    ("a.jpg", {"label": "../nevus"}, FREE, "cannot name a folder"),
    ("a.jpg", {"label": ".."}, FREE, "cannot name a folder"),
    ("a.jpg", {"label": "nev\x00us"}, FREE, "cannot name a folder"),
    ("nev\udcffus/a.jpg", None, FREE, "cannot name a folder"),
    ("nevus/a.jpg", {"split": "holdout-7"}, WORDS, "the split 'holdout-7' is not in the configuration (train, val, test and"),
    ("holdout/nevus/a.jpg", None, WORDS, "the split 'holdout' is not in the configuration (train, val, test and"),
    ("Test_Set 2/nevus/a.jpg", None, FREE, "the split 'Test_Set 2' is not"),
    ("hold-out/a.jpg", None, FREE, "the split 'hold-out' is not"),
    ("test/nevus/a.jpg", {"split": "training"}, WORDS, "two splits: the folder says 'test', the table says 'train'"),
    ("NEVUS/a.jpg", None, WORDS, "(nevus, Mélanome à voir); is 'nevus' meant?"),
])
def test_what_has_no_place_is_refused_with_the_reason(path, row, words, reason):
    assert reason in place(PurePosixPath(path), row, words).in_full


@pytest.mark.parametrize(("path", "row", "words"), [
    ("Mustermann/a.jpg", None, WORDS), ("a.jpg", {"label": "Mustermann"}, WORDS),
    ("nevus/a.jpg", {"label": "Mustermann"}, WORDS),
    ("nevus/scan.Mustermann", None, WORDS), ("nevus/a.jpg", {"split": "Mustermann"}, WORDS),
    ("Muster\x00mann/a.jpg", None, FREE),
])
def test_a_reason_that_all_may_see_holds_no_delivered_word(path, row, words):
    told = place(PurePosixPath(path), row, words)
    assert "Muster" in told.in_full
    assert "Muster" not in told.reason


def test_a_table_without_a_header_tells_its_first_row_only_in_private():
    with pytest.raises(TableError) as caught:
        read_table("Mustermann_7.jpg,nevus\n", WORDS)
    assert "mustermann" in str(caught.value)
    assert "mustermann" not in caught.value.reason.lower()


@given(st.lists(st.text(st.characters(exclude_characters="/\x00", exclude_categories=["Cs"]), min_size=1, max_size=6),
                min_size=1, max_size=4), st.booleans())
@settings(max_examples=100, deadline=None)
def test_every_place_gets_a_label_that_can_name_a_folder_or_a_reason(parts, configured):
    verdict = place(PurePosixPath(*parts[:-1], parts[-1] + ".jpg"), None, WORDS if configured else FREE)
    if isinstance(verdict, Placed):
        assert verdict.label
        assert "/" not in verdict.label
        assert verdict.label not in {".", ".."}
        assert verdict.label.isprintable()
        assert verdict.split in {None, "train", "val", "test"}
    else:
        assert isinstance(verdict, Misplaced)
        assert verdict.reason


def test_a_table_is_read_by_file_with_our_column_names():
    text = "\ufeffIMAGE, dx ,patient_id,age,device\r\n./a b.jpg,nevus, P1 ,40,x\r\nsub\\ü.jpg,nevus,P2,41,y\r\n"
    assert read_table(text, WORDS).rows == {
        "a b.jpg": {"label": "nevus", "patient_id": "P1", "age": "40"},
        "sub/ü.jpg": {"label": "nevus", "patient_id": "P2", "age": "41"},
    }


@pytest.mark.parametrize("missing", ["", "  ", "unknown", "Unknown", "NA", "n/a", "NaN", "None", "NULL"])
def test_a_missing_value_is_left_out(missing):
    assert read_table(f"file,label,age\na.jpg,nevus,{missing}\n", WORDS).rows == {"a.jpg": {"label": "nevus"}}


def test_short_long_and_empty_rows_of_a_table_do_no_harm():
    text = 'file,label,age\na.jpg\nb.jpg,nevus,40,too,many\n\n,nevus,1\n"c,d.jpg","nevus",7\n'
    assert read_table(text, WORDS).rows == {
        "a.jpg": {}, "b.jpg": {"label": "nevus", "age": "40"}, "c,d.jpg": {"label": "nevus", "age": "7"}}


def test_of_two_columns_for_the_same_the_first_named_in_the_configuration_counts():
    assert read_table("dx,label,file\nkeratosis,nevus,a.jpg\n", WORDS).rows == {"a.jpg": {"label": "nevus"}}


@pytest.mark.parametrize(("text", "found"), [("name,label\na.jpg,nevus\n", "name, label"), ("", "no columns"), ("\n", "")])
def test_a_table_without_a_file_column_says_which_columns_it_has(text, found):
    with pytest.raises(ValueError, match="no column 'file'") as caught:
        read_table(text, WORDS)
    assert found in str(caught.value)


def test_rows_about_one_file_complement_each_other_and_where_they_disagree_the_file_has_a_reason():
    text = "file,label,patient_id,age\na.jpg,nevus,P1,\na.jpg,nevus,P1,40\n" \
           "b.jpg,nevus,P1,\nb.jpg,keratosis,P2,7\n./b.jpg,nevus,P1,7\n"
    rows = read_table(text, WORDS, "manifest.csv").rows
    assert rows["a.jpg"] == {"label": "nevus", "patient_id": "P1", "age": "40"}
    assert rows["b.jpg"].reason == "two rows of manifest.csv disagree: label, patient_id"
    assert place(PurePosixPath("nevus/b.jpg"), rows["b.jpg"], WORDS) == rows["b.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_is_read_in_the_encodings_that_spreadsheets_write(encoding):
    assert decoded("file,label\né.jpg,nevus\n".encode(encoding)) == "file,label\né.jpg,nevus\n"


def test_a_table_that_is_no_csv_is_a_value_error():
    with pytest.raises(ValueError, match="field larger than"):
        read_table("file,label\na.jpg," + "x" * 200_000, WORDS)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_table_or_a_value_error(text):
    try:
        rows = read_table(text, WORDS).rows
    except ValueError:
        return
    assert all(file and (isinstance(row, Misplaced) or row.get("label", "none given")) for file, row in rows.items())


def test_the_labels_of_a_delivery_are_those_of_its_tables_and_of_folders_that_no_table_speaks_of():
    rows = read_table("file,label\na.jpg,zart\nb/c.jpg,rot\n", FREE)
    files = [PurePosixPath(name) for name in ("x/a.jpg", "x/unlisted.jpg", "x/b/c.jpg", "y/d.jpg", "x/manifest.csv")]
    assert labels_delivered(files, {PurePosixPath("x/manifest.csv"): rows}, FREE) == ["rot", "y", "zart"]


def test_decomposed_names_are_the_composed_labels():
    words = Vocabulary((unicodedata.normalize("NFC", "Mélanome"),), SPLITS, COLUMNS)
    path = PurePosixPath(unicodedata.normalize("NFD", "Mélanome/a.jpg"))
    assert place(path, None, words) == Placed(words.labels[0], None, {})



def test_the_labels_of_a_delivery_without_a_table_are_those_of_its_folders():
    files = [PurePosixPath(path) for path in ("train/nevus/a.jpg", "melanoma/a.jpg", "notes.txt", "a.jpg", "train/b.jpg")]
    assert labels_delivered(files, {}, WORDS) == ["melanoma", "nevus"]
