"""Promises of the lineage that the service tells: the whole chain, verified just now, also for a bundle of before."""

import io
import json
from dataclasses import replace

import pytest
from PIL import Image

from skin_platform.serving.bundle import BENTO_NAME
from skin_platform.serving.bundle_files import write_bundle
from skin_platform.serving.tracing import Lineage
from skin_platform_tests.deployments import wait_for
from skin_platform_tests.serving.in_process import in_process
from skin_platform_tests.serving.lineages import ROWS, traceable
from skin_platform_tests.serving.tiny_bundles import picture, version_of
from skin_platform_tests.storage.recorded import prediction

UNKNOWN = "6f1c3f0a-8a53-4f0c-9a5e-3f1d0f0a7c11"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with in_process(tmp_path_factory.mktemp("traced") / "home", traceable()) as running:
        yield running


def recorded(service, number, **given):
    """A prediction that stands in the spool, of a bundle that need not answer now."""
    row = prediction(number, prediction_id=f"{number:08x}-8a53-4f0c-9a5e-3f1d0f0a7c11", **given)
    service.desk.recorder.add("prediction", row)
    return row["prediction_id"]


def of(bundle):
    """The columns of a prediction that name its bundle."""
    origin = bundle.provenance
    return {"bundle": origin.tag, "model_version": origin.model_version, "checkpoint_sha256": origin.checkpoint_sha256,
            "dataset_digest": origin.dataset_digest}


def lineage(service, prediction_id):
    answer = service.http.get(f"/lineage/predictions/{prediction_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_answer_leads_to_its_bundle_version_evaluation_dataset_and_code(service):
    answer = service.http.post("/predict", files={"image": picture(5)}).json()
    told, origin = lineage(service, answer["prediction_id"]), traceable().provenance
    assert told["prediction"]["image_sha256"]
    assert told["bundle"]["tag"] == answer["bundle"]
    assert set(told["bundle"]["files"]) >= {"model.onnx", "ood.npz", "manifest.tsv.gz"}
    assert told["version"]["checkpoint_sha256"] == answer["checkpoint_sha256"]
    scored = {"split": "test", "accuracy": 0.75, "macro_f1": 0.7, "images": 4}
    assert told["evaluation"] == scored | {"sha256": origin.report_sha256}
    assert told["dataset"] == {"digest": answer["dataset_digest"], "images": {"train": 4, "val": 8}, "this_image": None}
    assert told["code"] == {"version": "1+abc", "dagster_run_id": "run-1", "mlflow_run_id": ""}
    assert [link["is_verified"] for link in told["links"]] == [True] * 5
    assert told["request_id"]


def test_what_people_said_of_it_is_told_and_whose_word_counts(service):
    answer = service.http.post("/predict", files={"image": picture(6)}).json()
    assert lineage(service, answer["prediction_id"])["feedback"] == []
    for label, person in (("rot", "Dr. A"), ("zart", "Dr. A"), ("rot", "Dr. B")):
        given = {"prediction_id": answer["prediction_id"], "correct_label": label, "given_by": person, "note": "seen"}
        assert service.http.post("/feedback", json=given).status_code == 200
    wait_for(lambda: len(lineage(service, answer["prediction_id"])["feedback"]) == 3, 20, "three in the database")
    told = lineage(service, answer["prediction_id"])["feedback"]
    assert [(row["correct_label"], row["given_by"], row["counts"]) for row in told] == [
        ("rot", "Dr. A", False), ("zart", "Dr. A", True), ("rot", "Dr. B", True)]
    Lineage.model_validate(lineage(service, answer["prediction_id"]))
    back = {"prediction_id": answer["prediction_id"], "correct_label": "rot", "given_by": "Dr. A"}
    assert service.http.post("/feedback", json=back).status_code == 200
    wait_for(lambda: lineage(service, answer["prediction_id"])["feedback"][-1]["given_by"] == "Dr. A", 20, "the last word")
    told = lineage(service, answer["prediction_id"])["feedback"]
    assert [(row["correct_label"], row["given_by"], row["note"], row["counts"]) for row in told] == [
        ("zart", "Dr. A", "seen", False), ("rot", "Dr. B", "seen", True), ("rot", "Dr. A", "seen", True)]


def test_an_image_of_the_dataset_itself_is_told_with_its_label_and_split(service):
    told = lineage(service, recorded(service, 1, image_sha256=ROWS[1].sha256, **of(traceable())))
    assert told["dataset"]["this_image"] == {"sha256": ROWS[1].sha256, "label": "rot", "group_id": "g1", "split": "val"}


def test_a_bundle_of_before_is_found_where_its_bento_is_and_else_said_to_be_gone(service):
    older = traceable(7)
    prediction_id = recorded(service, 2, **of(older))
    told = lineage(service, prediction_id)
    assert told["version"] is None
    assert [link["is_verified"] for link in told["links"]] == [None]
    write_bundle(older, service.settings.home.bentoml / "bentos" / BENTO_NAME / version_of(7) / "src" / "bundle")
    told = lineage(service, prediction_id)
    assert told["version"]["version"] == version_of(7)
    assert [link["is_verified"] for link in told["links"]] == [True] * 5


def test_a_link_that_does_not_hold_is_told(service):
    told = lineage(service, recorded(service, 3, **of(traceable()) | {"dataset_digest": "0" * 64}))
    assert {link["link"]: link["is_verified"] for link in told["links"]}["version → dataset"] is False


def test_figures_that_are_not_those_of_the_version_are_told(service):
    other = replace(traceable(8), evaluation=json.dumps({"n": 9}).encode())
    write_bundle(other, service.settings.home.bentoml / "bentos" / BENTO_NAME / version_of(8) / "src" / "bundle")
    told = lineage(service, recorded(service, 4, **of(other)))
    assert {link["link"]: link["is_verified"] for link in told["links"]}["version → evaluation"] is False


def test_a_refused_image_has_no_model_behind_it(service):
    nothing = dict.fromkeys(("label", "probabilities", "bundle", "model_version", "checkpoint_sha256", "dataset_digest"))
    told = lineage(service, recorded(service, 5, outcome="refused", code="corrupt", **nothing))
    assert "refused" in told["links"][0]["how"]


@pytest.mark.parametrize("unknown", [UNKNOWN, "none", "..%2f..%2fetc", "a" * 300])
def test_an_unknown_prediction_is_said_to_be_unknown(service, unknown):
    answer = service.http.get(f"/lineage/predictions/{unknown}")
    assert (answer.status_code, answer.json()["code"]) in {(404, "unknown_prediction"), (404, "not_found")}


def test_a_demo_has_nothing_to_trace(tmp_path):
    with in_process(tmp_path / "home", traceable(), skin_env="demo") as running:
        assert running.http.get(f"/lineage/predictions/{UNKNOWN}").json()["code"] == "not_in_demo"


def test_what_is_strange_is_flagged_and_what_is_ordinary_is_not(service):
    ordinary, strange = (service.http.post("/predict", files={"image": data}).json()["out_of_distribution"]
                         for data in (_plain(120), _plain(255)))
    assert not ordinary["flagged"]
    assert strange["flagged"]
    assert strange["p_value"] == pytest.approx(0.01)


def _plain(grey):
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40), (grey, grey, grey)).save(buffer, "PNG")
    return buffer.getvalue()
