"""Promises of lower precisions: they answer on a passed verdict about this very bundle, and never silently."""

import json
from dataclasses import replace

import numpy as np
import pytest

from skin_platform.core.gates import GATES
from skin_platform.core.images import Limits
from skin_platform.core.precisions import MOST, ROUNDING
from skin_platform.serving.bundle_files import PRECISIONS, BundleError, read_bundle, write_bundle
from skin_platform.serving.desk import Desk, nobody
from skin_platform.serving.engine import GOLDEN_TOLERANCE, Engine
from skin_platform.serving.following import Follower
from skin_platform.serving.loading import loaded
from skin_platform.serving.runtimes import RuntimeUnavailableError
from skin_platform.settings import load_settings
from skin_platform_tests.serving.in_process import in_process
from skin_platform_tests.serving.judged import has, judged, says
from skin_platform_tests.serving.tiny_bundles import picture, promoted, tiny_bundle, version_of

LOWER = {"skin_engine": "openvino", "skin_precision": "bf16"}
COMMAND = f"`skin models judge {version_of(1)} --precision bf16`"


@pytest.fixture(autouse=True)
def _bf16():
    if not has("bf16"):
        pytest.skip("this processor has no bf16")


@pytest.fixture
def settings(tmp_path):
    return load_settings(skin_home=tmp_path, **LOWER)


def fault_of(settings, bundle):
    """What the service finds against the bundle where it is exported."""
    return loaded(promoted(settings, bundle, 1), settings).fault


def test_a_passed_verdict_lets_a_lower_precision_answer_and_it_is_named(tmp_path):
    bundle = judged(tiny_bundle())
    pixels = np.stack([bundle.preprocessing.pixels(picture(seed)) for seed in range(20)])
    lower, exact = (Engine(bundle, "openvino", of).outputs(pixels)["logits"] for of in ("bf16", "f32"))
    assert np.abs(lower - exact).max() > 1e-3, "it computes in f32 after all"
    with in_process(tmp_path, bundle, **LOWER) as service:
        assert service.http.get("/readyz").status_code == 200
        status = service.http.get("/model-status").json()
        assert (status["engine"], status["ready"]) == ("openvino bf16", True)
        assert service.http.post("/predict", files={"image": picture(5)}).status_code == 200


def test_without_a_verdict_it_is_refused_with_the_command_that_passes_one(tmp_path):
    with in_process(tmp_path, tiny_bundle(), **LOWER) as service:
        refused = service.http.get("/readyz")
        assert (refused.status_code, COMMAND in refused.text) == (503, True)
        assert COMMAND in service.http.get("/model-status").json()["reason"]
        assert service.http.post("/predict", files={"image": picture(5)}).status_code == 503


def test_a_champion_without_a_verdict_stays_out_until_it_has_one(settings):
    desk = Desk(nobody(settings), None, None, Limits(), settings)
    follower = Follower(desk)
    try:
        for number, bundle in ((1, judged(tiny_bundle(1))), (2, tiny_bundle(2))):
            promoted(settings, bundle, number)
            follower.look()
            assert desk.current.version == version_of(1)
        assert f"skin models judge {version_of(2)} --precision bf16" in desk.followed.refused.reason
        assert desk.followed.refused.version == version_of(2)
        promoted(settings, judged(tiny_bundle(2)), 2)
        follower.look()
        assert (desk.current.version, desk.followed.refused) == (version_of(2), None)
    finally:
        follower.close()
        desk.current.close()


@pytest.mark.parametrize(("changed", "words"), [
    ({"gates": [says(gate, blocks=gate == "malignant recall") for gate in GATES]}, "malignant recall: as the figures say"),
    ({"gates": [says(gate) for gate in GATES[1:]]}, "floor: nothing was said of it"),
    ({"model_version": version_of(2)}, f"is of {version_of(2)}"),
    ({"subject_sha256": "0" * 64}, "of other weights or another calibration"),
    ({"engine": "another"}, "has no verdict on openvino bf16"), ({"precision": "f16"}, "has no verdict on openvino bf16"),
    ({"golden": {}}, "is none of those that openvino bf16 was judged with"),
])
def test_a_verdict_that_is_against_it_or_of_something_else_lets_nothing_answer(settings, changed, words):
    assert words in fault_of(settings, judged(tiny_bundle(), **changed))


def test_the_verdict_of_another_calibration_does_not_count(settings):
    bundle = judged(tiny_bundle())
    other = replace(bundle, calibration=replace(bundle.calibration, temperature=1.6))
    assert "another calibration" in fault_of(settings, other)


def test_a_verdict_that_was_written_into_the_bundle_by_hand_damages_it(tmp_path):
    write_bundle(judged(tiny_bundle(), gates=[says(gate, blocks=True) for gate in GATES]), tmp_path / "bundle")
    path = tmp_path / "bundle" / PRECISIONS
    assert read_bundle(tmp_path / "bundle").precisions[0].against
    [verdict] = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps([verdict | {"gates": [says(gate) for gate in GATES]}]), encoding="utf-8")
    with pytest.raises(BundleError, match=r"precisions\.json is damaged"):
        read_bundle(tmp_path / "bundle")


def test_golden_images_are_held_against_the_answers_in_that_precision(settings):
    bundle = judged(tiny_bundle())
    [verdict] = bundle.precisions
    assert verdict.tolerance == max(ROUNDING["bf16"], verdict.worst)
    for off, is_refused in ((0.5 * verdict.tolerance, False), (2 * verdict.tolerance, True)):
        first = bundle.golden[0].sha256
        row = np.array(verdict.golden[first]) + np.array([off, -off, 0])
        fault = fault_of(settings, judged(tiny_bundle(), golden={**verdict.golden, first: row.tolist()}))
        assert (fault is not None) == is_refused
        assert fault is None or (f"allowed {verdict.tolerance:.2g}" in fault and COMMAND in fault)
    assert replace(verdict, worst=0.4).tolerance == MOST, "whatever a test split has shown"


def test_f32_needs_no_verdict_and_is_held_to_the_checkpoint(tmp_path):
    settings = load_settings(skin_home=tmp_path, skin_engine="openvino")
    assert fault_of(settings, tiny_bundle()) is None
    bundle = judged(tiny_bundle(), gates=[says(gate, blocks=True) for gate in GATES])
    assert fault_of(settings, bundle) is None
    first = bundle.golden[0]
    off = replace(first, probabilities=tuple(np.array(first.probabilities) + 2 * GOLDEN_TOLERANCE))
    assert "allowed 0.0001" in fault_of(settings, replace(bundle, golden=(off, *bundle.golden[1:])))


def test_a_precision_that_the_processor_replaces_by_another_is_refused(tmp_path):
    if has("f16"):
        pytest.skip("this processor has f16")
    with pytest.raises(RuntimeUnavailableError, match=r"computes in bf16 where f16 is asked for.*f32 or bf16"):
        Engine(tiny_bundle(), "openvino", "f16")
    settings = load_settings(skin_home=tmp_path, skin_engine="openvino", skin_precision="f16")
    assert "computes in bf16 where f16 is asked for" in fault_of(settings, tiny_bundle())
