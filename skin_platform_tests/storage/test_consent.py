"""Promises of consent: an image without it is catalogued, never trained on, and no later yes lifts a refusal unnoticed."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from skin_platform.core.conflicts import Resolution
from skin_platform.core.consent import ConsentWords
from skin_platform.dataset_config import SettingsError
from skin_platform.dataset_template import render_dataset_config
from skin_platform.settings import load_settings
from skin_platform.storage.batches import MANIFEST_SCHEMA
from skin_platform.storage.catalogue import Catalogue, content_digest
from skin_platform.storage.lesions import LesionsTable
from skin_platform.storage.manifests import ASSIGNED
from skin_platform.storage.objects import ObjectStore
from skin_platform_tests.storage.deliveries import manifest_row


def manifest(day, *rows):
    stamp = f"2026-05-{day:02}"
    own = [row | {"batch_id": f"{stamp}-x", "ingested_at": f"{stamp}T00:00:00.000000+00:00"} for row in rows]
    return pa.Table.from_pylist(own, schema=MANIFEST_SCHEMA)


def exclusions(lesions):
    return {(int(row["sha256"][:16], 16), row["label"]): row["exclusion"] for row in lesions.read().to_pylist()}


def after(tmp_path, *values, words=None):
    """Exclusion and consent of one image that was delivered once a day with these values."""
    lesions = LesionsTable(tmp_path / "skin.duckdb", words)
    history = [manifest(day, manifest_row(1, consent=value)) for day, value in enumerate(values, start=1)]
    for day, rows in enumerate(history, start=1):
        lesions.replace_batch(f"2026-05-{day:02}-x", rows)
    [row] = lesions.read().to_pylist()
    before = content_digest(lesions.read())
    lesions.rebuild(reversed(history))
    assert content_digest(lesions.read()) == before
    return row["exclusion"], row["consent"]


@pytest.mark.parametrize(("values", "expected"), [
    ([None], (None, None)), (["yes"], (None, "yes")), ([" Ja "], (None, " Ja ")), (["1.0"], (None, "1.0")),
    (["NO"], ("no consent", "NO")), (["0"], ("no consent", "0")), (["Withdrawn"], ("no consent", "Withdrawn")),
    (["pending"], ("consent unclear", "pending")), (["unknown"], ("consent unclear", "unknown")),
    (["yes", "no"], ("no consent", "no")), (["no", "yes"], ("no consent", "no")), (["no", None], ("no consent", "no")),
    ([None, "no", "yes", "pending"], ("no consent", "no")), (["pending", "yes"], (None, "yes")),
    (["yes", "pending"], ("consent unclear", "pending")), (["no", "renewed"], (None, "renewed")),
    (["no", "renewed", "yes"], (None, "yes")), (["renewed", "no"], ("no consent", "no")),
    (["no", "renewed", "no", "yes"], ("no consent", "no")), (["no", "renewed", "pending"], ("consent unclear", "pending")),
])
def test_a_refusal_stands_until_consent_is_renewed_and_else_the_last_word_counts(tmp_path, values, expected):
    assert after(tmp_path, *values) == expected


def test_the_words_are_those_of_the_configuration(tmp_path):
    words = ConsentWords(refused=("nie",), given=("tak",), renewed=("znowu",))
    assert after(tmp_path, "Nie", words=words)[0] == "no consent"
    assert after(tmp_path / "b", "no", words=words)[0] == "consent unclear"
    assert after(tmp_path / "c", "Nie", "Znowu", words=words)[0] is None


def test_a_refusal_holds_under_every_label_and_a_decision_on_labels_lifts_it_not(tmp_path):
    lesions = LesionsTable(tmp_path / "skin.duckdb")
    lesions.replace_batch("2026-05-01-x", manifest(1, manifest_row(1), manifest_row(1, label="zart"), manifest_row(2)))
    assert set(exclusions(lesions).values()) == {"conflict", None}
    lesions.replace_batch("2026-05-02-x", manifest(2, manifest_row(1, consent="no")))
    assert exclusions(lesions) == {(1, "nevus"): "no consent", (1, "zart"): "no consent", (2, "nevus"): None}
    lesions.resolve([Resolution(f"{1:016x}".ljust(64, "0"), "zart", ("nevus", "zart"), "Anna", "biopsy", "2026-06-01")])
    assert exclusions(lesions)[1, "zart"] == "no consent"
    lesions.replace_batch("2026-05-02-x", manifest(2))  # judged anew without that row
    assert exclusions(lesions) == {(1, "nevus"): "overruled", (1, "zart"): None, (2, "nevus"): None}


def test_two_answers_in_one_batch_count_as_the_more_careful_one(tmp_path):
    lesions = LesionsTable(tmp_path / "skin.duckdb")
    for number, values in enumerate([("no", "renewed"), ("renewed", "no"), ("yes", "pending"), ("pending", "yes")]):
        rows = [manifest_row(number, file_id=f"f{at}", consent=value) for at, value in enumerate(values)]
        lesions.replace_batch(f"2026-05-{number + 1:02}-x", manifest(number + 1, *rows))
    assert list(exclusions(lesions).values()) == ["no consent", "no consent", "consent unclear", "consent unclear"]


def test_an_image_whose_consent_is_withdrawn_leaves_what_may_be_trained_on_and_the_digest_tells(tmp_path):
    objects, lesions = ObjectStore(tmp_path / "objects"), LesionsTable(tmp_path / "skin.duckdb")
    objects.create_bucket("data")
    catalogue = Catalogue(objects, "data", tmp_path / "cache", ["nevus"])
    assigned = ASSIGNED.empty_table()
    first = (manifest_row(1, consent="yes"), manifest_row(2), manifest_row(3, consent="?"))
    lesions.replace_batch("2026-05-01-x", manifest(1, *first))
    before = catalogue.publish(lesions, datetime.now(UTC))
    rows, digest = catalogue.trainable(assigned)
    assert (before.trainable, rows.num_rows) == (2, 2)
    lesions.replace_batch("2026-05-02-x", manifest(2, manifest_row(1, consent="withdrawn")))
    state = catalogue.publish(lesions, datetime.now(UTC))
    rows, later = catalogue.trainable(assigned)
    assert [sha256[:16] for sha256 in rows["sha256"].to_pylist()] == [f"{2:016x}"]
    assert (state.rows, state.trainable) == (3, 1)
    assert digest != later != before.trainable_digest
    assert later == state.trainable_digest
    assert catalogue.left_out() == {"consent unclear": 1, "no consent": 1}


@pytest.mark.parametrize(("change", "told"), [
    (("renewed: [renewed]", "renewed: [yes]"), "yes stands in two lists"), (("given: [", "given: ['', "), "an empty value"),
    (("  renewed:", "  lifted:"), "lifted"),
])
def test_a_fault_in_the_words_is_named(tmp_path, change, told):
    (tmp_path / "dataset.yaml").write_text(render_dataset_config(["a"]).replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError, match="consent") as error:
        _ = load_settings(skin_home=tmp_path).dataset
    assert told in str(error.value)


def test_words_without_quotes_and_no_words_at_all_mean_what_a_person_means(tmp_path):
    text = render_dataset_config(["a"])
    bare = text.replace('refused: ["no", "false", "0", "0.0", n, ', "refused: [no, 0, ").replace(
        'given: ["yes", "true", ', "given: [Yes, ")
    (tmp_path / "dataset.yaml").write_text(bare, encoding="utf-8")
    words = load_settings(skin_home=tmp_path).dataset.consent.words
    assert words.refused[:4] == ("no", "false", "0", "nein")
    assert words.given[:2] == ("yes", "true")
    start, end = text.index("consent:\n"), text.index("# How often")
    (tmp_path / "dataset.yaml").write_text(text[:start] + text[end:], encoding="utf-8")
    assert load_settings(skin_home=tmp_path).dataset.consent.words == ConsentWords()
