"""Damage: a bundle of which a file is missing or changed, and the command that brings a whole one.

Here: the words. Not here: how it is found out (``serving.bundle_files``), what is loaded (``serving.loading``).
"""

from dataclasses import replace
from pathlib import Path

from skin_platform.serving.bundle_files import BundleError, read_bundle
from skin_platform.serving.desk import Current

EXPORT = "`skin models record` exports the champion anew, and the running service takes it up by itself"
PINNED_EXPORT = "export the champion anew with `skin models record`, then start the service anew"
BENTO = "build the bento anew with `skin serve`, or by materializing bundles/lesion_classifier, then start the service anew"
GIVEN = "put a whole bundle into the folder that SKIN_BUNDLE names, then start the service anew"


def with_remedy(found: Current, folder: Path, remedy: str) -> Current:
    """``found``, which was loaded from ``folder``; its fault ends with the remedy where the bundle is damaged."""
    if found.engine is not None or found.fault is None:
        return found
    try:
        read_bundle(folder)
    except (BundleError, OSError):
        return replace(found, fault=f"{found.fault}; {remedy}")
    return found
