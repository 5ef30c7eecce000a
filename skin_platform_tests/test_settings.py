"""Settings: read once, as types; a fault is named."""

import json

import pytest

from skin_platform.core.gate_rules import GateRules, LabelRules
from skin_platform.dataset_config import SettingsError
from skin_platform.dataset_template import render_dataset_config
from skin_platform.serving.launch import serve_environment
from skin_platform.settings import load_settings


def test_a_malformed_variable_is_named_and_its_value_is_not_shown(monkeypatch):
    monkeypatch.setenv("API_PORT", "eighty")
    monkeypatch.setenv("SKIN_SETTLE_SECONDS", "-3")
    with pytest.raises(SettingsError, match="API_PORT") as error:
        load_settings()
    assert "SKIN_SETTLE_SECONDS" in str(error.value)
    assert "eighty" not in str(error.value)


def test_an_empty_variable_means_the_default(monkeypatch):
    monkeypatch.setenv("S3_ENDPOINT", "")
    assert load_settings().s3_endpoint is None


def test_prod_refuses_weak_secrets_by_name(monkeypatch):
    monkeypatch.setenv("SKIN_ENV", "prod")
    monkeypatch.setenv("S3_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SettingsError) as error:
        load_settings()
    for name in ("SKIN_PSEUDONYM_KEY", "API_KEY", "STREAMLIT_PASSWORD", "S3_SECRET_KEY"):
        assert name in str(error.value)
    for name in ("SKIN_PSEUDONYM_KEY", "API_KEY", "STREAMLIT_PASSWORD", "S3_SECRET_KEY"):
        monkeypatch.setenv(name, "a-long-secret-of-ours")
    assert load_settings().skin_env == "prod"


@pytest.mark.parametrize(("name", "value"), [
    ("API_KEY", ""), ("API_KEY", "ChangeMe"), ("API_KEY", "short-one"), ("STREAMLIT_PASSWORD", "admin123"),
    ("DATABASE_URL", "postgresql+psycopg://skin:postgres@db/skin")])
def test_prod_refuses_one_weak_secret_by_its_name_alone(monkeypatch, name, value):
    for known in ("SKIN_PSEUDONYM_KEY", "API_KEY", "STREAMLIT_PASSWORD"):
        monkeypatch.setenv(known, f"{known}-of-our-own")
    monkeypatch.setenv("SKIN_ENV", "prod")
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as error:
        load_settings()
    others = {"SKIN_PSEUDONYM_KEY", "API_KEY", "STREAMLIT_PASSWORD", "DATABASE_URL"} - {name}
    assert not any(other in str(error.value) for other in others)
    assert not value or value not in str(error.value)


def test_prod_takes_a_database_without_a_password_and_one_with_its_own(monkeypatch):
    for known in ("SKIN_PSEUDONYM_KEY", "API_KEY", "STREAMLIT_PASSWORD"):
        monkeypatch.setenv(known, f"{known}-of-our-own")
    monkeypatch.setenv("SKIN_ENV", "prod")
    for url in ("postgresql+psycopg:///skin", "postgresql+psycopg://skin:dQ8v%40w@db/skin", "sqlite:////srv/online.db"):
        assert load_settings(database_url=url).database_url == url


@pytest.mark.parametrize(("name", "value"), [
    ("API_KEY", "a-key"), ("DATABASE_URL", "sqlite:///x.db"), ("SKIN_KEEP_IMAGES", "1")])
def test_a_demo_refuses_what_would_have_no_effect_in_it(monkeypatch, name, value):
    monkeypatch.setenv("SKIN_ENV", "demo")
    assert load_settings().skin_env == "demo"
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"SKIN_ENV is demo.*{name} is set: leave it out") as error:
        load_settings()
    assert value not in str(error.value).replace(name, "")


def test_secrets_do_not_show_in_the_settings(monkeypatch):
    monkeypatch.setenv("S3_SECRET_KEY", "hush-hush")
    assert "hush-hush" not in repr(load_settings())


def test_the_dataset_config_takes_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("S3_BUCKET_IMAGES", "clinic-images")
    monkeypatch.setenv("CLINIC", "roma")
    (tmp_path / "dataset.yaml").write_text(render_dataset_config(["ñandú", "b c"], "${CLINIC}"), encoding="utf-8")
    config = load_settings(skin_home=tmp_path).dataset
    assert (config.bucket, config.source, config.labels) == ("clinic-images", "roma", ["ñandú", "b c"])
    assert config.metadata_database == tmp_path / "skin.duckdb"
    assert config.vocabulary.splits["training"] == "train"


@pytest.mark.parametrize(("change", "named"), [
    (("source: landing", "source: ${NOT_SET_ANYWHERE}"), "NOT_SET_ANYWHERE"),
    (("source: landing", "source: ${S3_SECRET_KEY}"), "S3_SECRET_KEY"),
    (("fraction: 0.7", "fraction: 0.6"), "fractions must add up to 1"),
    (("fraction: 0.7", "fraction: 0.7, locked: true"), "'train' cannot be locked"),
    (("fraction: 0.15, also_called: [val", "fraction: 0.15, locked: true, also_called: [val"), "'val' cannot be locked"),
    (("seed: 0", "  late: {fraction: 0.0}\nseed: 0"), "'test' is locked and must come last"),
    (('weights: ""', "weights: some/where"), "40 hex digits"),
    (('weights: "", revision: ""', f'weights: some/where, revision: {"g" * 40}'), "40 hex digits"),
    (('revision: ""', f'revision: {"a" * 40}'), "`weights` is empty"),
    (("labels:", "lables:"), "lables"),
    (("seed: 0", "seed: [0"), "not YAML"),
    (("/skin.duckdb", "/metadata.duckdb"), "metadata_database"),
    (("gates:", "gate:"), "`gates` is missing"),
    (("conformal: {coverage: 0.9, by_label: false, ood_level: 0.01}", "conformal_coverage: 0.9"),
     "now written `conformal: {coverage: 0.9}`"),
    (("coverage: 0.9,", "coverage: 1.0,"), "conformal.coverage"),
    (("floor: ${PERFORMANCE_THRESHOLD}", "floor: 1.5"), "gates.floor"),
    (("metric: balanced_accuracy", "metric: auc"), "gates.champion.metric"),
    (("level: 0.05", "level: 0.5"), "gates.champion.level"),
    (("labels: {}", "labels: {b: {malignant: true}}"), "gates.labels: b is none of the labels (a)"),
    (("labels: {}", "labels: {a: {recall_floor: 0.8}}"), "add `malignant: true`"),
    (("labels: {}", "labels: {a: {malignant: true, recall_floor: 80}}"), "gates.labels.a.recall_floor"),
    (("by: [sex,", "by: [age,"), "gates.subgroups.by"),
    (("by: [sex,", "by: [site,"), "an attribute is named twice"),
    (("[30, 50, 70]", "[30, 30]"), "gates.age_bands"),
    (("[30, 50, 70]", "[]"), "gates.age_bands"),
    (("when_too_few: refuse", "when_too_few: warn"), "gates.malignant.when_too_few"),
    (("ceiling: 0.1", "ceiling: -0.1"), "gates.calibration.ceiling"),
])
def test_a_fault_in_the_dataset_config_is_named(tmp_path, change, named):
    path = tmp_path / "dataset.yaml"
    path.write_text(render_dataset_config(["a"]).replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"dataset\.yaml") as error:
        _ = load_settings(skin_home=tmp_path).dataset
    assert named in str(error.value)


@pytest.mark.parametrize(("change", "told"), [
    (("seed: 0", "sed: 0"), "'sed' is no entry here: did you mean 'seed'? (entries: labels, splits, line, seed, "),
    (("test: {fraction: 0.15, locked", "test: {fraction: 0.15, lokced"),
     "splits.test: 'lokced' is no entry here: did you mean 'locked'? (entries: fraction, locked, also_called)"),
    (("metric: balanced_accuracy, margin", "metric: balanced_accuracy, margn"),
     "gates.champion: 'margn' is no entry here: did you mean 'margin'? (entries: metric, margin, level)"),
    (("labels: {}", "labels: {a: {malignant: true, xyz: 1}}"),
     "gates.labels.a: 'xyz' is no entry here (entries: malignant, recall_floor)")])
def test_an_entry_that_there_is_not_is_told_with_the_likely_one(tmp_path, change, told):
    text = render_dataset_config(["a"])
    assert change[0] in text
    (tmp_path / "dataset.yaml").write_text(text.replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError) as error:
        _ = load_settings(skin_home=tmp_path).dataset
    assert told in str(error.value)


@pytest.mark.parametrize(("splits", "locked"), [
    ("train: {fraction: 0.8}, val: {fraction: 0.2}", None),
    ("train: {fraction: 0.8}, val: {fraction: 0.2}, test: {fraction: 0.0}", None),
    ("train: {fraction: 0.8}, val: {fraction: 0.2}, test: {fraction: 0.0, locked: true}", "test"),
])
def test_a_third_split_and_its_lock_may_be_left_out(tmp_path, splits, locked):
    text = render_dataset_config(["a"])
    former = "splits: {" + splits + "}\nseed: 0\n" + text.partition("# Where deliveries")[2].join(["# Where deliveries", ""])
    (tmp_path / "dataset.yaml").write_text("labels: [a]\n" + former, encoding="utf-8")
    config = load_settings(skin_home=tmp_path).dataset
    assert (config.train_split, config.validation_split, config.locked_split) == ("train", "val", locked)
    assert config.backbone.model_dump() == {"name": "auto", "weights": "", "revision": ""}


def test_a_new_home_locks_its_last_split(tmp_path):
    (tmp_path / "dataset.yaml").write_text(render_dataset_config(["a"]), encoding="utf-8")
    config = load_settings(skin_home=tmp_path).dataset
    assert config.fractions == {"train": 0.7, "val": 0.15, "test": 0.15}
    assert config.locked_split == "test"


def test_weights_are_a_folder_or_pinned_by_a_commit(tmp_path):
    (tmp_path / "weights").mkdir()
    for backbone in ({"name": "resnet18", "weights": "${SKIN_HOME}/weights", "revision": ""},
                     {"name": "auto", "weights": "some/where", "revision": "0a" * 20}):
        text = render_dataset_config(["a"]).replace('{name: auto, weights: "", revision: ""}', json.dumps(backbone))
        (tmp_path / "dataset.yaml").write_text(text, encoding="utf-8")
        assert load_settings(skin_home=tmp_path).dataset.backbone.revision == backbone["revision"]


def test_a_new_home_demands_what_the_rules_demand_by_default(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFORMANCE_THRESHOLD", "0.75")
    (tmp_path / "dataset.yaml").write_text(render_dataset_config(["a"]), encoding="utf-8")
    assert load_settings(skin_home=tmp_path).dataset.gate_rules == GateRules(0.75)
    (tmp_path / "dataset.yaml").write_text(
        render_dataset_config([]).replace("labels: {}", "labels: {b: {malignant: true, recall_floor: 0.8}}")
        .replace("coverage: 0.9, by_label: false", "coverage: 0.8, by_label: true"), encoding="utf-8")
    rules = load_settings(skin_home=tmp_path).dataset.gate_rules
    assert rules.labels == {"b": LabelRules(True, 0.8)}
    assert (rules.coverage.coverage, rules.coverage.by_label) == (0.8, True)


def test_a_floor_that_is_lowered_for_the_demo_says_so_in_the_file(tmp_path):
    text = render_dataset_config(["a", "b"], floor=0.55)
    assert "floor: 0.55  # LOWERED FOR THE DEMO by `skin demo`" in text
    (tmp_path / "dataset.yaml").write_text(text, encoding="utf-8")
    assert load_settings(skin_home=tmp_path).dataset.gates.floor == 0.55


def test_a_missing_dataset_config_says_how_to_get_one(tmp_path):
    with pytest.raises(SettingsError, match="skin home"):
        _ = load_settings(skin_home=tmp_path).dataset


@pytest.mark.parametrize(("text", "told"), [
    ("SKIN_SETTLE_SECOND=3\n", r"\.env sets SKIN_SETTLE_SECOND, and there is no such setting: is SKIN_SETTLE_SECONDS meant\?"),
    ("skin_hom=/tmp\n", "sets skin_hom, and there is no such setting: is SKIN_HOME meant"),
    ("SKIN_PSEUDONYM_KEY=\n", "SKIN_PSEUDONYM_KEY is empty"), ("SKIN_PSEUDONYM_KEY='  '\n", "SKIN_PSEUDONYM_KEY is empty")])
def test_a_misspelt_name_and_an_empty_key_in_the_env_file_are_told(tmp_path, monkeypatch, text, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=told):
        load_settings()


def test_names_of_other_programs_in_the_env_file_are_none_of_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("POSTGRES_USER=x\nSKIN_SETTLE_SECONDS=3\nSKIN_PSEUDONYM_KEY=a key of our own\n",
                                   encoding="utf-8")
    assert load_settings().skin_settle_seconds == 3
    assert not load_settings().has_weak_pseudonym_key


def test_an_empty_key_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("SKIN_PSEUDONYM_KEY", "")
    with pytest.raises(SettingsError, match="SKIN_PSEUDONYM_KEY is empty"):
        load_settings()


def test_a_process_in_another_folder_is_handed_what_the_env_file_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "API_KEY=of-the-file\nSKIN_ENGINE=openvino\nDATABASE_URL=\nAPI_PORT=1\nOTHER=x\n"
    (tmp_path / ".env").write_text(text, encoding="utf-8")
    monkeypatch.setenv("API_PORT", "2")
    monkeypatch.setenv("SKIN_ENGINE", "")
    here = load_settings()
    environment = serve_environment(tmp_path / "home")
    assert {name: environment.get(name) for name in ("API_KEY", "SKIN_ENGINE", "DATABASE_URL", "API_PORT", "OTHER")} == {
        "API_KEY": "of-the-file", "SKIN_ENGINE": "openvino", "DATABASE_URL": None, "API_PORT": "2", "OTHER": None}
    assert (here.api_key.get_secret_value(), here.skin_engine, here.api_port) == ("of-the-file", "openvino", 2)
