"""Monitoring: what the dashboard and the alerts ask for is what the service tells, and it counts what happens."""

import json
import re
from threading import Thread

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from skin_platform.serving.desk import Desk
from skin_platform.serving.exposition import State, exposition, state_of
from skin_platform.serving.metrics import TALLIES
from skin_platform.serving.tallies import Counter, Histogram
from skin_platform.storage.spool import Spool
from skin_platform_tests.deployments import ROOT
from skin_platform_tests.serving.in_process import champion, in_process
from skin_platform_tests.serving.tiny_bundles import picture

FOLDER = ROOT / "deploy" / "monitoring"
NAMES = re.compile(r"\b(?:skin|process)_[a-z_]+")
GIVEN_BY_PROMETHEUS = {"instance", "job"}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with in_process(tmp_path_factory.mktemp("monitored") / "home", champion()) as running:
        running.http.post("/predict", files={"image": picture(1)})
        yield running


@pytest.fixture(scope="module")
def rules():
    found = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def board():
    return json.loads((FOLDER / "grafana" / "dashboards" / "skin-serving.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def asked(rules, board):
    """Every expression of the alerts and the dashboard."""
    shown = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    return [rule["expr"] for rule in rules] + shown + [note["expr"] for note in board["annotations"]["list"] if "expr" in note]


def told(service):
    """The families at /metrics by name, and every sample by name and labels."""
    families = list(text_string_to_metric_families(service.http.get("/metrics").text))
    samples = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value
               for family in families for sample in family.samples}
    return {family.name: family for family in families}, samples


def value(service, name, **labels):
    return told(service)[1].get((name, tuple(sorted(labels.items()))), 0.0)


def family_of(name, families):
    return next((families[base] for base in (name, re.sub(r"_(total|bucket|sum|count)$", "", name)) if base in families), None)


def test_every_measure_that_is_watched_is_told(service, asked):
    families, _ = told(service)
    named = {name for expression in asked for name in NAMES.findall(expression)}
    assert len(named) > 20
    assert [name for name in named if family_of(name, families) is None] == []


def test_every_label_that_is_asked_for_is_there(service, asked):
    families, _ = told(service)
    known = {tally.name: {*tally.labels} for tally in TALLIES}
    for expression in asked:
        labels = {label for part in re.findall(r"(?:by|on) \(([^)]*)\)", expression) for label in re.findall(r"\w+", part)}
        labels |= set(re.findall(r"[{,]\s*(\w+)\s*(?:=|!=|=~)\"", expression))
        held = GIVEN_BY_PROMETHEUS | {"le"}
        for name in NAMES.findall(expression):
            if found := family_of(name, families):
                held |= known.get(found.name, set()) | {label for sample in found.samples for label in sample.labels}
        assert labels <= held, expression


def test_everything_that_is_counted_can_be_seen(service, asked):
    families, _ = told(service)
    named = {family_of(name, families).name for expression in asked for name in NAMES.findall(expression)}
    assert {name for name in families if name.startswith("skin_")} == {name for name in named if name.startswith("skin_")}


def test_an_alert_says_who_must_look_and_what_helps(rules):
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert "$labels.instance" in rule["annotations"]["summary"]
        assert rule["annotations"]["remedy"][-1] in ".?"


def test_prometheus_and_grafana_are_told_where_things_lie(board):
    scrape = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    assert [(FOLDER / name).is_file() for name in scrape["rule_files"]] == [True]
    assert scrape["scrape_configs"][0]["static_configs"][0]["targets"] == ["127.0.0.1:8000"]
    [source] = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    variable = board["templating"]["list"][0]
    assert (variable["type"], variable["current"]["value"]) == ("datasource", source["uid"])
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_what_happens_is_counted(service):
    before = {name: value(service, name, **labels) for name, labels in WATCHED.items()}
    service.http.post("/predict", files={"image": picture(2)})
    service.http.post("/predict", content=b"text", headers={"Content-Type": "image/png"})
    assert {name: value(service, name, **labels) - before[name] for name, labels in WATCHED.items()} == {
        "skin_requests_total": 1, "skin_request_seconds_count": 2, "skin_errors_total": 1, "skin_batch_size_sum": 1,
        "skin_batch_seconds_count": 1}
    assert sum(count for (name, _), count in told(service)[1].items() if name == "skin_predictions_total") >= 2


WATCHED = {
    "skin_requests_total": {"route": "/predict", "method": "POST", "status": "200"},
    "skin_request_seconds_count": {"route": "/predict"}, "skin_errors_total": {"code": "not_an_image"},
    "skin_batch_size_sum": {}, "skin_batch_seconds_count": {}}


def test_which_model_answers_is_told_by_version_bundle_and_dataset(service):
    provenance = service.desk.current.engine.bundle.provenance
    assert value(service, "skin_model_info", version=provenance.model_version, bundle=provenance.tag,
                 dataset=provenance.dataset_digest, engine=service.desk.current.engine.name) == 1
    assert value(service, "skin_ready") == 1


def test_a_path_that_a_caller_made_up_is_no_label(service):
    before = len(told(service)[1])
    for number in range(20):
        service.http.get(f"/made/up/{number}")
    assert len(told(service)[1]) <= before + 2 + 20  # one route for all of them: a counter, and a histogram's cells
    assert "made" not in service.http.get("/metrics").text


def test_a_demo_and_an_unreadable_spool_tell_of_no_spool():
    shown = exposition(State(ready=False))
    assert "skin_ready 0.0" in shown
    assert "skin_spool" not in shown
    assert "version=" not in shown.split("# HELP skin_model_info")[1].split("# HELP")[0]


def test_a_spool_that_cannot_be_read_does_not_hide_the_rest(service, tmp_path):
    spool = Spool(tmp_path / "spool.db", 1_000_000)
    spool.close()
    shown = exposition(state_of(Desk(service.desk.current, spool, None, service.desk.limits, service.settings)))
    assert "skin_ready 1.0" in shown
    assert "skin_spool_rows" not in shown


def test_counting_in_many_threads_loses_nothing():
    counter, histogram = Counter("c", "c", ("x",)), Histogram("h", "h", (1, 2, 4))
    def count():
        for number in range(2000):
            counter.add("a", amount=2)
            histogram.observe(number % 8)
    threads = [Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(sample.labels, sample.value) for sample in counter.family().samples] == [({"x": "a"}, 24000)]
    samples = {(sample.name, sample.labels.get("le")): sample.value for sample in histogram.family().samples}
    assert samples == {("h_bucket", "1.0"): 3000, ("h_bucket", "2.0"): 4500, ("h_bucket", "4.0"): 7500,
                       ("h_bucket", "+Inf"): 12000, ("h_count", None): 12000, ("h_sum", None): 42000}


def test_a_known_combination_begins_at_nought():
    assert [sample.value for sample in Counter("c", "c", ("x",), known=[("a",), ("b",)]).family().samples] == [0, 0]
    assert [sample.value for sample in Counter("c", "c").family().samples] == [0]
