"""Settings: read once, as types; a fault is named."""

import pytest

from skin_platform.dataset_config import SettingsError, render_dataset_config
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
    (("fraction: 0.8", "fraction: 0.7"), "fractions must add up to 1"),
    (("labels:", "lables:"), "lables"),
    (("seed: 0", "seed: [0"), "not YAML"),
    (("/skin.duckdb", "/metadata.duckdb"), "metadata_database"),
])
def test_a_fault_in_the_dataset_config_is_named(tmp_path, change, named):
    path = tmp_path / "dataset.yaml"
    path.write_text(render_dataset_config(["a"]).replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"dataset\.yaml") as error:
        _ = load_settings(skin_home=tmp_path).dataset
    assert named in str(error.value)


def test_a_missing_dataset_config_says_how_to_get_one(tmp_path):
    with pytest.raises(SettingsError, match="skin home"):
        _ = load_settings(skin_home=tmp_path).dataset
