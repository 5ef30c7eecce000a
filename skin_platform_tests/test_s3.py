"""The walk on S3: the same delivery through a real endpoint over HTTP, signed."""

import json

import pytest

from skin_platform.settings import load_settings
from skin_platform.storage.stores import Stores
from skin_platform_tests.deployments import free_port, skin, small_delivery

pytestmark = pytest.mark.slow


@pytest.fixture
def s3_variables(s3_access):
    return {"S3_ENDPOINT": s3_access.endpoint, "S3_ACCESS_KEY": s3_access.access_key, "S3_SECRET_KEY": s3_access.secret_key,
            "S3_BUCKET_IMAGES": "walk-images", "S3_BUCKET_DATA": "walk-data", "S3_BUCKET_MODELS": "walk-models"}


def test_the_walk_goes_through_s3(s3_variables, tmp_path, monkeypatch):
    delivery = small_delivery(tmp_path / "lab", seed=21, images=24, corrupt=0.1)
    env = s3_variables | {"API_PORT": str(free_port())}
    done = skin("demo", "--data", delivery, "--home", tmp_path / "home", "--epochs", 1, "--json", env=env)
    story = json.loads(done.stdout.splitlines()[-1])
    assert story["answer"]["bundle"] == story["bundle"]
    assert len(story["quarantined"]) == 2
    assert not (tmp_path / "home" / "objects").exists()
    for name, value in s3_variables.items():
        monkeypatch.setenv(name, value)
    stores = Stores(load_settings(skin_home=tmp_path / "home"))
    images = list(stores.objects.list_objects("walk-images"))
    assert len(images) == story["images"] == len(stores.datasets.read(story["dataset_digest"]))
    assert stores.objects.object_exists("walk-models", f"skin/models/{story['trace']['mlflow_run_id']}/model.ckpt")
    assert stores.objects.get_object_metadata("walk-images", images[0].key)["label"] == images[0].key.split("/")[2]


@pytest.mark.parametrize("wrong", ["S3_ACCESS_KEY", "S3_SECRET_KEY"])
def test_a_wrong_key_is_one_clear_error_without_the_secret(s3_variables, tmp_path, wrong):
    delivery = small_delivery(tmp_path / "lab", seed=22, images=6)
    env = s3_variables | {wrong: "not-the-right-one-17"}
    done = skin("demo", "--data", delivery, "--home", tmp_path / "home", env=env, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "S3_ACCESS_KEY" in last
    assert "S3_SECRET_KEY" in last
    assert "not-the-right-one-17" not in done.stderr + done.stdout
    assert s3_variables["S3_SECRET_KEY"] not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_is_down_is_one_clear_error(tmp_path):
    delivery = small_delivery(tmp_path / "lab", seed=23, images=6)
    done = skin("demo", "--data", delivery, "--home", tmp_path / "home", env={"S3_ENDPOINT": f"http://127.0.0.1:{free_port()}"},
                check=False)
    assert done.returncode == 1
    assert "S3_ENDPOINT" in done.stderr
    assert "Traceback" not in done.stderr
