"""The contract: whatever is sent, the service answers as its description says, and never with a fault of its own."""

import json

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from skin_platform.serving.desk import nobody
from skin_platform.serving.errors import CODES
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.tiny_bundles import LABELS, picture

AS_DESCRIBED = [status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
ASKED_FOR = ["POST /predict", "POST /predict/batch", "POST /predict/async", "GET /predict/async/{job_id}", "POST /feedback",
             "GET /lineage/predictions/{prediction_id}"]
STATUS = ["GET /health", "GET /model-status", "GET /readyz", "GET /livez", "GET /healthz", "GET /metrics"]
BOUNDED = settings(max_examples=12, derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
                   suppress_health_check=list(HealthCheck))


@schemathesis.serializer("image/jpeg", "image/png")
def as_it_is(context: schemathesis.SerializationContext, value: object) -> bytes:
    """Bytes are sent as they are generated."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with in_process(tmp_path_factory.mktemp("contract") / "home", champion(), skin_max_image_bytes=100_000) as running:
        yield running


@pytest.fixture(scope="module")
def operations(service):
    """The operations of the description by method and path."""
    found = [result.ok() for result in schemathesis.openapi.from_asgi("/openapi.json", service.app).get_all_operations()]
    return {operation.label: operation for operation in found}


def held(case, response, checks=(not_a_server_error, *AS_DESCRIBED)):
    """Raise where the response is not as described, or a fault."""
    case.validate_response(response, checks=list(checks))
    return response


def test_every_operation_is_held_against_its_description(operations):
    assert sorted(operations) == sorted([*ASKED_FOR, *STATUS])


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", ASKED_FOR)
def test_every_answer_is_as_described(operations, label, mode):
    @BOUNDED
    @given(case=operations[label].as_strategy(generation_mode=mode))
    def answered(case):
        held(case, case.call())

    answered()


@pytest.mark.parametrize("label", STATUS)
def test_what_the_service_says_of_itself_is_as_described(operations, label):
    case = operations[label].Case()
    assert held(case, case.call()).status_code == 200


def test_what_succeeds_is_as_described(operations):
    def done(label, status=200, **given):
        case = operations[label].Case(**given)
        response = held(case, case.call())
        assert response.status_code == status
        return response.json()

    prediction = done("POST /predict", body=picture(1), media_type="image/png")
    done("POST /predict", body={"image": picture(1)}, media_type="multipart/form-data", query={"top_k": 2})
    done("POST /predict/batch", body={"images": [picture(1), b"text"]}, media_type="multipart/form-data")
    job = done("POST /predict/async", 202, body=picture(1), media_type="application/octet-stream")
    done("GET /predict/async/{job_id}", path_parameters={"job_id": job["job_id"]})
    said = {"prediction_id": prediction["prediction_id"], "correct_label": LABELS[0], "given_by": "Ärztin"}
    done("POST /feedback", body=said, media_type="application/json")
    done("GET /lineage/predictions/{prediction_id}", path_parameters={"prediction_id": prediction["prediction_id"]})


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_no_damage_to_an_image_is_a_fault_of_the_service(operations, kind):
    sound = picture(5, kind=kind)

    @settings(BOUNDED, max_examples=40)
    @given(cut=st.integers(1, len(sound)), at=st.integers(0, len(sound) - 1), put=st.binary(max_size=9))
    def answered(cut, at, put):
        case = operations["POST /predict"].Case(body=(sound[:at] + put + sound[at + len(put):])[:cut], media_type="image/png")
        held(case, case.call())

    answered()


@pytest.mark.parametrize("state", ["demo", "keys are asked", "nothing was promoted"])
def test_in_every_state_each_answer_is_as_described(operations, service, state, tmp_path):
    changed = {"demo": {"skin_env": "demo"}, "keys are asked": {"api_key": "open-sesame-open-sesame"}}.get(state, {})
    with in_process(tmp_path / "home", champion(), **changed) as running:
        if state == "nothing was promoted":
            running.desk.replace(nobody(running.settings))
        for label in (*ASKED_FOR, *STATUS):
            given = {"path_parameters": {"job_id": "1", "prediction_id": "1"}} if "{" in label else {}
            sent = {"body": picture(1), "media_type": "image/png"} if label.startswith("POST") else {}
            case = operations[label].Case(**given, **sent)
            held(case, case.call(app=running.app), AS_DESCRIBED)


def test_every_code_of_an_error_is_described(service):
    told = json.dumps(service.app.openapi())
    assert [code for code in CODES if f"`{code}`" not in told] == ["not_found"]  # of a page that there is not
