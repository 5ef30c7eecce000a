"""What the tests of storage share: the same store in each of its places, the online store in each of its databases."""

from collections.abc import Iterator

import pytest

from skin_platform.storage.objects import ObjectStore
from skin_platform.storage.online.store import OnlineStore
from skin_platform_tests.storage.postgres import Postgres, running_postgres


@pytest.fixture(params=["local folder", "rclone", "moto"])
def store(request, tmp_path):
    """An object store; the endpoint is started only where a test asks for it."""
    if request.param == "local folder":
        return ObjectStore(tmp_path / "objects")
    return ObjectStore(request.getfixturevalue({"rclone": "s3_access", "moto": "moto_access"}[request.param]))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this session; who stops it starts it again."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty PostgreSQL database."""
    return postgres.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def online_url(request, tmp_path) -> str:
    """An empty database of each kind; PostgreSQL is started only where a test asks for it."""
    return f"sqlite:///{tmp_path / 'online.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def online(online_url) -> Iterator[OnlineStore]:
    """The online store in each kind of database, still empty."""
    online = OnlineStore(online_url)
    yield online
    online.dispose()
