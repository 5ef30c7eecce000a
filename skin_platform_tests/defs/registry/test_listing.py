"""The list of versions: each with what its verdict says now, past whatever is damaged, in 80 columns."""

import json
from dataclasses import asdict

import pytest
from typer.testing import CliRunner

from skin_platform import ending
from skin_platform.commands.models import app
from skin_platform.core.gates import GATES
from skin_platform.defs.registry.judging import rules_digest
from skin_platform.defs.registry.registering import origin_of
from skin_platform_tests.core.card_evidence import stored
from skin_platform_tests.defs.registry.versions import add_version, move, opened

BUCKET = "skin-models"


@pytest.fixture
def stores(tmp_path):
    return opened(tmp_path / "home")


def judged(stores, version, blocks=()):
    """A verdict on the version as it is made now, whose gates in ``blocks`` are against it; its SHA-256."""
    origin, champion = origin_of(version, stores), stores.moves.current("champion")
    dataset, rules = origin.checkpoint.dataset, stores.settings.dataset.gate_rules
    record = {
        "version": version, "checkpoint_sha256": origin.checkpoint.sha256, "dataset_digest": dataset.digest,
        "locked_digest": dataset.locked_digest, "evidence_sha256": origin.evidence_sha256, "rules": asdict(rules),
        "rules_sha256": rules_digest(rules),
        "champion": {"version": champion.version, "number": champion.number} if champion else None,
        "verdicts": [{"gate": gate, "blocks": gate in blocks, "status": "passed", "reason": ""} for gate in GATES]}
    return stores.versions.write_file(version, "verdict.json", json.dumps(record).encode())


def given(stores, *arguments):
    """What a command prints in 80 columns."""
    done = CliRunner(env={"COLUMNS": "80"}).invoke(
        app, [*arguments, "--home", str(stores.settings.home.root)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def listed(stores):
    return {item["version"]: item for item in json.loads(given(stores, "list", "--json"))}


def version_of(stores, number):
    score = {"split": "test", "n": 1234, "accuracy": 0.391, "accuracy_interval": {"low": 0.30, "high": 0.48, "level": 0.95}}
    return add_version(stores, number, manifest=stored()["manifest"] | {"score": score})


def test_a_verdict_that_says_nothing_any_more_is_stale_and_the_champions_own_is_not(stores):
    first, second, third = (version_of(stores, number) for number in range(3))
    promoted_on = judged(stores, first)
    judged(stores, second)
    assert {item["verdict"] for version, item in listed(stores).items() if version != third} == {"no objection"}
    move(stores, "champion", first, verdict_sha256=promoted_on)
    judged(stores, third, blocks=("malignant recall", "subgroups"))
    found = listed(stores)
    assert [found[version]["verdict"] for version in (first, second, third)] == [
        "promoted on it", "stale", "refused: malignant recall, subgroups"]
    assert [bool(found[version]["faults"]) for version in (first, second, third)] == [False, True, False]
    assert f"against the champion none, and the champion has moved since, to {first}" in found[second]["faults"][0]


def test_what_is_damaged_hides_nothing_else(stores):
    first, second, third, fourth = (version_of(stores, number) for number in range(4))
    for version in (first, fourth):
        judged(stores, version)
    put = stores.objects.upload_file
    put(BUCKET, f"skin_classifier/{second}/verdict.json", b"")
    put(BUCKET, f"skin_classifier/{third}/manifest.json", b"")
    stores.objects.delete_object(BUCKET, f"skin_classifier/{fourth}/origin.json")
    found = listed(stores)
    assert found[first]["verdict"] == "no objection"
    assert found[second]["verdict"] == "damaged: judge it anew"
    assert "verdict.json is damaged" in found[second]["faults"][0]
    assert f"{third}/manifest.json is damaged: it is empty" in found[third]["damage"]
    assert f"{fourth} has no origin.json" in found[fourth]["faults"][0]
    shown = given(stores, "list")
    assert all(version in shown for version in (first, second, third, fourth))
    assert f"s3://{BUCKET}/skin_classifier/{third}/manifest.json is damaged: it is empty" in shown


def test_eighty_columns_show_a_version_in_two_lines(stores):
    first, second = (version_of(stores, number) for number in range(2))
    sha256 = judged(stores, first, blocks=("malignant recall", "subgroups"))
    move(stores, "champion", first, kind="forced", verdict_sha256=sha256)
    move(stores, "challenger", second)
    stores.objects.upload_file(BUCKET, f"skin_classifier/{second}/verdict.json", b"")
    shown = given(stores, "list")
    assert len(shown.splitlines()) == 8, shown
    for text in (first, second, "0.391 (0.30 to 0.48)", "test, n = 1234", "champion", "BY FORCE", "challenger", "refused:",
                 "malignant recall +1", "damaged:", "judge it anew"):
        assert text in shown, text


@pytest.mark.parametrize("named", ["latest", "champion", "v20260501_120000"])
def test_a_home_without_a_version_says_how_one_is_made(stores, named):
    with pytest.raises(ValueError, match="there is no model version yet: `skin demo`, or the job train_now, makes one"):
        given(stores, "judge", named)


def test_evidence_that_is_missing_is_one_line(stores, capsys):
    version = version_of(stores, 0)
    assert ending.run(lambda: given(stores, "judge", version)) == 1
    told = capsys.readouterr().err
    assert f"error: model version {version} has no predictions.parquet" in told
    assert len(told.splitlines()) == 1
