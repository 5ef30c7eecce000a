"""The service of a home, listening on a port of this machine, in this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvicorn

from skin_platform.serving.bundle import Bundle
from skin_platform.serving.protocol import BoundedProtocol
from skin_platform_tests.serving.in_process import Service, in_process


@contextmanager
def listening(home: Path, bundle: Bundle | None = None, **settings: object) -> Iterator[str]:
    """The address of a running service of ``home``; ``in_process`` says what it consists of. Its log is not shown."""
    with in_process(home, bundle, **settings) as service, heard(service) as address:
        yield address


@contextmanager
def heard(service: Service) -> Iterator[str]:
    """The address at which ``service`` listens."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    server = uvicorn.Server(uvicorn.Config(service.app, port=0, http=BoundedProtocol, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        structlog.reset_defaults()
