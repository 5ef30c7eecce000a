"""Bundling: from a model version in the object store to its bento here, and from the champion and challenger to their exports.

Here: when a bento is built and when the export is replaced. Not here: what a bundle is made of (``defs.exported_model``), its
files and those of a bento (``serving``), who becomes champion (``defs.registry``).
"""

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from skin_platform.core.references import BundleReference, EvaluationReference
from skin_platform.defs.exported_model import exported_model, is_exported_from
from skin_platform.defs.precisions import precisions_of
from skin_platform.serving.bento_store import PackingError, bento_folder, building
from skin_platform.serving.bundle import BENTO_NAME, Bundle
from skin_platform.serving.bundle_files import CARD, BundleError, bundle_digest, read_bundle
from skin_platform.serving.exporting import CHALLENGER, Promotion, exporting, replace_export, withdraw_export
from skin_platform.storage.moves import Move, by_force
from skin_platform.storage.stores import Stores


class BundleFault(RuntimeError):  # noqa: N818  it is the version that is at fault
    """A version gets no bento; the message says why: its model answers otherwise than its checkpoint, say."""


def ensure_bundle(version: str, stores: Stores) -> BundleReference:
    """The bento of a version: the one that is here, or one built of what the object store has.

    Built where there is none yet, or one that is damaged, of another checkpoint, evaluation or model card, with other verdicts
    on its precisions, of other serving code, or with an image that was withdrawn since. Several processes may ask at once: one
    builds. Raises ``BundleFault``, ``KeyError`` for an unknown version, ``StorageError``.
    """
    from skin_platform.serving.packing import pack, repack

    origin = origin_of(version, stores)
    home, tag = stores.settings.home.bentoml, f"{BENTO_NAME}:{version}"
    found = _packed(tag, origin, stores)
    if found is None or not _is_told_of(found, stores):
        with building(home) as folder:
            found = _packed(tag, origin, stores)  # another process may have been faster
            try:
                if found is None:
                    pack(_told_of(exported_model(version, origin, stores), stores), home, folder)
                elif not _is_told_of(found, stores):
                    repack(_told_of(found, stores), home, folder)
            except (BundleError, PackingError) as error:
                raise BundleFault(f"model version {version} gets no bento: {error}") from error
    return BundleReference(tag, bundle_digest(bento_folder(tag, home) / "src" / "bundle"), version, origin)


def export_champion(stores: Stores) -> str | None:
    """Bring the export in step with the champion that the log of moves names now; returns its version (None: there is none).

    What a promotion that was killed has left undone is done here. Raises what ``ensure_bundle`` does; the export is then what
    it was before.
    """
    home = stores.settings.home
    while True:
        move = stores.moves.current("champion")
        tag = ensure_bundle(move.version, stores).tag if move else ""
        with exporting(home.export):
            if stores.moves.current("champion") != move:
                continue
            if move is None:
                home.export.unlink(missing_ok=True)
                return None
            replace_export(bento_folder(tag, home.bentoml) / "src" / "bundle", home.export, _promotion(move, stores))
            return move.version


def export_challenger(stores: Stores) -> str | None:
    """Bring the challenger's export in step; returns its version, None where there is none to compare the champion with.

    Only a challenger whose bento is here is exported: the asset that builds the bento of every version comes before. Raises
    ``StorageError``.
    """
    home = stores.settings.home
    with exporting(home.challenger, CHALLENGER):
        move, champion = (stores.moves.current(alias) for alias in ("challenger", "champion"))
        is_rival = move is not None and champion is not None and move.version != champion.version
        source = _bundle_here(move.version, stores) if move and is_rival else None
        if move is None or source is None:
            withdraw_export(home.challenger, CHALLENGER)
            return None
        replace_export(source, home.challenger, _promotion(move, stores), CHALLENGER)
        return move.version


def origin_of(version: str, stores: Stores) -> EvaluationReference:
    """What a version was made of; raises ``KeyError`` for an unknown one, ``BundleFault`` where that cannot be read."""
    try:
        return TypeAdapter(EvaluationReference).validate_json(stores.versions.read_file(version, "origin.json"))
    except ValidationError as error:
        raise BundleFault(f"origin.json of model version {version} is not of this release: {error}") from None


def _packed(tag: str, origin: EvaluationReference, stores: Stores) -> Bundle | None:
    """The bundle in the bento of ``tag``, None where the model must be exported anew."""
    from skin_platform.serving.packing import packed_bundle

    with suppress(PackingError, BundleError, OSError):
        bundle = packed_bundle(tag, stores.settings.home.bentoml)
        if is_exported_from(bundle, origin, stores):
            return bundle
    return None


def _bundle_here(version: str, stores: Stores) -> Path | None:
    """The bundle in the bento of a version; None where there is no whole one. It may be of other serving code than this."""
    try:
        folder = bento_folder(f"{BENTO_NAME}:{version}", stores.settings.home.bentoml) / "src" / "bundle"
        is_its_own = read_bundle(folder).provenance.checkpoint_sha256 == origin_of(version, stores).checkpoint.sha256
    except (PackingError, BundleError, BundleFault, KeyError):
        return None
    return folder if is_its_own else None


def _told_of(bundle: Bundle, stores: Stores) -> Bundle:
    """The bundle with the model card and the verdicts on its precisions as they are now; no card where none was written yet."""
    version, card = bundle.provenance.model_version, ""
    with suppress(KeyError):
        card = stores.versions.read_file(version, CARD).decode()
    return replace(bundle, model_card=card, precisions=tuple(precisions_of(version, stores)))


def _is_told_of(bundle: Bundle, stores: Stores) -> bool:
    now = _told_of(bundle, stores)
    return (now.model_card, now.precisions) == (bundle.model_card, bundle.precisions)


def _promotion(move: Move, stores: Stores) -> Promotion:
    """What the service tells of a move, with the floor of the verdict that it rests on."""
    floor = None
    with suppress(KeyError):
        verdict = stores.versions.read_file(move.version, "verdict.json")
        if hashlib.sha256(verdict).hexdigest() == move.verdict_sha256:
            floor = float(json.loads(verdict)["rules"]["floor"])
    history = stores.moves.history(move.alias)
    forced = by_force([other for other in history if other.number <= move.number]) is not None
    return Promotion(move.version, move.kind, move.by, move.why, move.at, move.number, floor, forced)
