"""What the tests of storage share: the same store in each of its places."""

import pytest

from skin_platform.storage.objects import ObjectStore


@pytest.fixture(params=["local folder", "rclone", "moto"])
def store(request, tmp_path):
    """An object store; the endpoint is started only where a test asks for it."""
    if request.param == "local folder":
        return ObjectStore(tmp_path / "objects")
    return ObjectStore(request.getfixturevalue({"rclone": "s3_access", "moto": "moto_access"}[request.param]))
