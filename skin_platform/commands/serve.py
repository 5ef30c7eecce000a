"""`skin serve`: the champion's bundle over HTTP, each later champion in its turn, or the reason that there is none yet."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from skin_platform.commands.options import HomeOption, settings_of
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.serving.exporting import Promotion
    from skin_platform.settings import Settings


def serve(home: HomeOption = None, port: Annotated[int | None, typer.Option(help="default: API_PORT, 8000")] = None) -> None:
    """Serve the champion over HTTP, and whoever is promoted later; before the first promotion the service says so."""
    from skin_platform.serving.desk import no_champion
    from skin_platform.serving.exporting import read_promotion
    from skin_platform.serving.footprint import footprint
    from skin_platform.serving.launch import check_port_is_free, serve_command, serve_environment
    from skin_platform.serving.packing import REQUIREMENTS
    from skin_platform.storage.online.preflight import check_start, new_database
    from skin_platform.storage.stores import prepare_home

    settings = settings_of(home)
    prepare_home(settings)
    check_start(settings)
    port = port or settings.api_port
    check_port_is_free(settings.api_host, port)
    tag, promotion = _champions_tag(settings), read_promotion(settings.home.export)
    environment = serve_environment(settings.home.root)
    if settings.skin_bundle is not None:
        environment["SKIN_BUNDLE"] = str(settings.skin_bundle.resolve())  # BentoML serves from a folder of its own
        _tell(f"serving the bundle in {environment['SKIN_BUNDLE']} (SKIN_BUNDLE), whoever is the champion")
    elif tag is None or promotion is None:
        _tell(f"{settings.home.root}: {no_champion(settings)}; until then the service says so, too")
    else:
        _tell(f"serving {tag}\n{_how(promotion)}\nits environment is {footprint(REQUIREMENTS).told}, all pinned")
    if told := new_database(settings):
        _tell(told)
    _tell(_where_to_go(settings, port))
    sys.stdout.flush()
    os.execve(sys.executable, serve_command(tag, settings.home.root, settings.api_host, port), environment)


def _where_to_go(settings: "Settings", port: int) -> str:
    """The addresses to begin with, and a command line that can be pasted."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.api_host, settings.api_host)
    url, is_demo = f"http://{host}:{port}", settings.skin_env == "demo"
    has_keys = _asks_for_key(settings)
    places = [*([f"drop an image: {url}/"] if is_demo else []), f"all routes: {url}/docs", f"the model: {url}/model-status"]
    key = "-H 'Authorization: Bearer <key>' " if has_keys else ""
    hint = "" if has_keys or is_demo else "\nno key is asked for; make one with: skin keys add NAME --scope predict"
    return "\n".join([*places, f"ask it: curl {key}-F image=@photo.jpg {url}/predict"]) + hint


def _asks_for_key(settings: "Settings") -> bool:
    """Whether the service asks for a key: the environment's, or one that was ever made."""
    from skin_platform.storage.online.reaching import OnlineStoreError
    from skin_platform.storage.online.store import OnlineStore

    if settings.skin_env == "demo" or settings.api_key.get_secret_value():
        return settings.skin_env != "demo"
    store = OnlineStore(settings.online_url)
    try:
        return bool(store.api_keys())
    except OnlineStoreError:  # as the service does then, which remembers the keys that it knew
        return settings.home.keys.exists()
    finally:
        store.dispose()


def _champions_tag(settings: "Settings") -> str | None:
    """The bento of the champion, brought here; where the object store does not answer, the one that was exported last."""
    from skin_platform.defs.bundling import BundleFault, export_champion
    from skin_platform.serving.exporting import exported_version
    from skin_platform.serving.launch import current_tag
    from skin_platform.storage.faults import StorageError
    from skin_platform.storage.stores import Stores

    try:
        found = export_champion(Stores(settings))
        return current_tag(settings.home.export) if found else None
    except BundleFault as error:
        raise BundleFault(f"{error}. Until then `skin models rollback` lets the former champion answer") from error
    except StorageError as error:
        if exported_version(settings.home.export) is None:
            raise
        tag = current_tag(settings.home.export)
        _tell(f"warning: {error}. Serving {tag}, which is on this machine: whether it is the champion still is not known",
              is_fault=True)
        return tag


def _how(promotion: "Promotion") -> str:
    """Since when the version answers, by whose doing; what is not as it should be in capitals.

    A floor is lowered where it is below the built-in demand: the setting may be lowered in the very shell that serves.
    """
    from skin_platform.settings import Settings

    usual: float = Settings.model_fields["performance_threshold"].default
    kind = {"promoted": "promoted", "forced": "PROMOTED BY FORCE", "rolled back": "brought back"}[promotion.kind]
    lowered = promotion.floor is not None and promotion.floor < usual
    floor = f", UNDER A FLOOR LOWERED TO {promotion.floor:g} ({usual:g} is usual)" if lowered else ""
    if promotion.forced and promotion.kind != "forced":
        kind = f"ONCE PROMOTED BY FORCE, {kind}"
    return f"champion since {promotion.at}, {kind} by {promotion.by}: {promotion.why}{floor}"


def _tell(text: str, *, is_fault: bool = False) -> None:
    Console(stderr=is_fault).print(said(text), highlight=False, soft_wrap=True)
