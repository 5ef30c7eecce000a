"""The service without a server: the real application with a real desk (engine, spool, keys, database) in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from skin_platform.serving.app import build_app
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.desk import Desk
from skin_platform.serving.opening import opened
from skin_platform.settings import Settings, load_settings
from skin_platform_tests.serving.tiny_bundles import promoted, tiny_bundle


@dataclass(frozen=True)
class Service:
    """A service that answers in this process."""

    app: FastAPI
    desk: Desk
    http: TestClient
    settings: Settings


@contextmanager
def in_process(home: Path, bundle: Bundle | None = None, **settings: object) -> Iterator[Service]:
    """The service of ``home``, whose champion is ``bundle``; everything that runs beside it is stopped at the end."""
    home.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        found = load_settings(**{"skin_home": home, "skin_shadow_rate": 0, **settings})
        if bundle is not None:
            promoted(found, bundle, 1)
        running = opened(found)
    try:
        app = build_app(found.skin_env)
        app.state.desk = running.desk
        with TestClient(app, base_url="http://service") as http:
            yield Service(app, running.desk, http, found)
    finally:
        running.close()


def champion() -> Bundle:
    """The bundle that answers, where it matters to nobody which."""
    return tiny_bundle(1)
