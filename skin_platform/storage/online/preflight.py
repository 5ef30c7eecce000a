"""Preflight: whether a service can run here at all, found out before anything of it is started.

Here: its folder, its spool, the place of its database, each refused with the remedy; its hold on the spool. Not here: whether
the database can be reached, which is no condition (``storage.spool`` keeps what it misses), the bundle (``serving.loading``).
"""

from contextlib import closing

from skin_platform.settings import Settings
from skin_platform.storage.home_folder import HomeError, check_home
from skin_platform.storage.online.reaching import OnlineStoreError
from skin_platform.storage.online.store import OnlineStore
from skin_platform.storage.spool import Spool
from skin_platform.storage.spool_belonging import Hold, database_name
from skin_platform.storage.spool_file import SpoolError, SpoolFullError

FAULTS = (HomeError, OnlineStoreError, SpoolError)


def check_start(settings: Settings) -> None:
    """Raises one of ``FAULTS`` where what is answered could not be recorded, or would get into another database.

    A demo records nothing. A spool that is full is no fault: the service that starts empties it.
    """
    if settings.skin_env == "demo":
        return
    check_home(settings.home.root)
    check_home(settings.home.root, settings.home.spool.parent)
    store = OnlineStore(settings.online_url)
    store.check_place()
    with closing(Spool(settings.home.spool, settings.skin_spool_bytes)) as spool, closing(held(spool, store, settings)):
        try:
            spool.try_out()
        except SpoolFullError:
            return


def held(spool: Spool, store: OnlineStore, settings: Settings) -> Hold:
    """The hold on ``spool`` of a service that records into ``store``. Raises ``ForeignSpoolError``."""
    return Hold(spool.file, database_name(store.engine.url, settings.home.root))


def new_database(settings: Settings) -> str | None:
    """What is to be said of a SQLite database that DATABASE_URL names and that is not there yet; None where it is."""
    if settings.database_url is None or settings.skin_env == "demo":
        return None
    store = OnlineStore(settings.database_url)
    return f"DATABASE_URL names {store.engine.url.database}, which is not there yet: a new database is made" \
        if store.is_missing else None
