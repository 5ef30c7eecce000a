"""Opening: everything that works while the service runs, started in order and closed in the opposite one.

Here: the desk, its spool, keys and what drains them. Not here: what each of them does.
"""

from dataclasses import dataclass
from pathlib import Path

from skin_platform.core.images import Limits
from skin_platform.serving.desk import Current, Desk, nobody, taken_up
from skin_platform.settings import Settings
from skin_platform.storage.draining import Drain
from skin_platform.storage.keys import KeyRing
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool

SOURCE = Path(__file__).resolve().parents[2]  # of a bento, or where the package is installed
BUNDLE_IN_BENTO = SOURCE / "bundle"


@dataclass
class Opened:
    """What runs."""

    desk: Desk
    store: OnlineStore
    drain: Drain

    def close(self) -> None:
        """Answer and write what waits."""
        self.desk.current.close()
        self.drain.close(10)
        if self.desk.keys is not None:
            self.desk.keys.close()
        self.store.dispose()


def opened(settings: Settings) -> Opened:
    """Start everything that ``settings`` ask for."""
    store = OnlineStore(settings.online_url)
    spool = Spool(settings.home.root / "served" / "spool.db")
    keys = KeyRing(store, settings.api_key.get_secret_value())
    limits = Limits(settings.skin_max_image_bytes, settings.skin_max_image_pixels, settings.skin_min_image_side_px)
    desk = Desk(_found(settings), spool, keys, limits, settings)
    return Opened(desk, store, Drain(spool, store))


def _found(settings: Settings) -> Current:
    """What answers at the start: the bundle that was configured, or the bento's own; installed code alone has none."""
    if settings.skin_bundle is None and not (SOURCE.parent / "bento.yaml").is_file():
        return nobody()
    return taken_up(settings.skin_bundle or BUNDLE_IN_BENTO, settings)
