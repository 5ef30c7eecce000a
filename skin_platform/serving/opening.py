"""Opening: the service's parts, started in order and stopped in the other.

Here: which bundle answers first, and what runs beside the requests: following, shadow, images kept, jobs, the spool's drain.
Not here: the process and its routes (``serving.service``), what the desk holds (``serving.desk``).
"""

import logging
from contextlib import ExitStack, closing
from pathlib import Path

from skin_platform.core.images import Limits
from skin_platform.serving.damage import BENTO, GIVEN, PINNED_EXPORT, with_remedy
from skin_platform.serving.desk import Desk, nobody
from skin_platform.serving.following import Follower
from skin_platform.serving.jobs import Worker
from skin_platform.serving.keeping import ImageKeeper
from skin_platform.serving.loading import taken_up
from skin_platform.serving.shadowing import Shadow
from skin_platform.settings import Settings
from skin_platform.storage.draining import Drain
from skin_platform.storage.jobs import Jobs
from skin_platform.storage.keys import KeyRing
from skin_platform.storage.online.preflight import held, new_database
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool

logger = logging.getLogger("bentoml.skin_platform")
SOURCE = Path(__file__).resolve().parents[2]  # of a bento, or where the package is installed


class Opened:
    """A running service without its routes: ``desk`` for these, ``close`` for the end."""

    def __init__(self, desk: Desk, stack: ExitStack) -> None:
        self.desk, self._stack = desk, stack

    def close(self) -> None:
        """Let what waits be answered and written, then give everything back."""
        self._stack.close()


def opened(settings: Settings) -> Opened:
    """The parts that ``settings`` ask for, running; an engine that may not answer is a fault on the desk, no error here.

    Raises one of ``online.preflight.FAULTS`` where nothing can be recorded on this machine.
    """
    with ExitStack() as stack:
        limits = Limits(settings.skin_max_image_bytes, settings.skin_max_image_pixels, settings.skin_min_image_side_px)
        desk = Desk(nobody(settings), None, None, limits, settings)
        if settings.skin_env != "demo":
            _record(desk, settings, stack)
        stack.callback(lambda: desk.current.close())
        _answer_first(desk, settings, stack)
        if desk.recorder is not None and settings.skin_shadow_rate > 0:
            desk.shadow = desk.parts["shadow"] = stack.enter_context(closing(Shadow(settings, desk.recorder)))
        if desk.recorder is not None and settings.skin_keep_images:
            desk.keeper = desk.parts["keeper"] = stack.enter_context(closing(ImageKeeper(settings.home.served_images)))
        if desk.jobs is not None:
            desk.parts["jobs"] = stack.enter_context(closing(Worker(desk, desk.jobs)))
        if desk.current.fault:
            logger.error("not ready: %s", desk.current.fault)
        else:
            logger.info("ready: model %s", desk.current.version)
        return Opened(desk, stack.pop_all())


def _record(desk: Desk, settings: Settings, stack: ExitStack) -> None:
    """The spool, and what takes from it to the online database; the keys, which are there, too."""
    store = OnlineStore(settings.online_url)
    stack.callback(store.dispose)
    spool = stack.enter_context(closing(Spool(settings.home.spool, settings.skin_spool_bytes)))
    stack.enter_context(closing(held(spool, store, settings)))
    if told := new_database(settings):
        logger.warning(told)
    desk.drain = desk.parts["drain"] = stack.enter_context(closing(Drain(spool, store)))
    desk.recorder, desk.store, desk.jobs = spool, store, stack.enter_context(closing(Jobs(spool)))
    desk.keys = desk.parts["keys"] = stack.enter_context(closing(KeyRing(
        store, settings.api_key.get_secret_value(), settings.home.keys, settings.skin_rate_per_minute)))


def _answer_first(desk: Desk, settings: Settings, stack: ExitStack) -> None:
    """Let answer what was configured; else what is exported, and whatever is from now on; else the bento's own bundle.

    Where nothing is to be followed, the bento's own comes before what is exported.
    """
    own = SOURCE / "bundle" if (SOURCE.parent / "bento.yaml").is_file() else None
    if settings.skin_bundle is not None or not settings.skin_follow_champion:
        first = settings.skin_bundle or own or settings.home.export
        remedy = GIVEN if settings.skin_bundle else BENTO if own else PINNED_EXPORT
        if settings.skin_bundle or first.exists() or first.is_symlink():
            desk.replace(with_remedy(taken_up(first, settings), first, remedy))
        return
    follower = stack.enter_context(closing(Follower(desk)))
    follower.look()
    if not desk.current.can_answer and own is not None:
        desk.replace(with_remedy(taken_up(own, settings), own, BENTO))
    follower.start()
    desk.parts["follower"] = follower
