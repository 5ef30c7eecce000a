"""The asset ``registry/model_card``: what a version is and scored, for people, from its evidence alone.

Here: gathering the evidence, keeping the card beside the version, and the check that holds one against the other. Not here: the
card's words (``core.model_card``), the figures (``checkpoints/evaluation``), the verdict (``judging``).
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import dagster as dg

from skin_platform.core.card_check import lines_not_in, numbers_not_in
from skin_platform.core.model_card import render_card
from skin_platform.core.references import ModelVersionReference
from skin_platform.defs.resources import StoresResource
from skin_platform.settings import Settings
from skin_platform.storage.moves import ALIASES
from skin_platform.storage.stores import Stores

CARD = "model_card.md"
SHOWN = 20  # faults in a check's description


@dg.asset(
    key=["registry", "model_card"], group_name="registry", owners=["team:ml"], kinds={"markdown"},
    ins={"registered": dg.AssetIn(key=["registry", "model_version"])},
)
def model_card(
    context: dg.AssetExecutionContext, registered: ModelVersionReference, stores: StoresResource
) -> dg.MaterializeResult[ModelVersionReference]:
    """What a version is, learnt from, scored on whom, and is not for: `model_card.md` beside it, anew after each move."""
    opened = stores.open()
    card = write_card(registered.version, opened)
    context.log.info("%s of %s: %d lines", CARD, registered.version, card.count("\n"))
    return dg.MaterializeResult(value=registered, metadata={
        "card": dg.MetadataValue.md(card), "version": registered.version, "sha256": hashlib.sha256(card.encode()).hexdigest()})


@dg.asset_check(asset=model_card, blocking=True, description="Every number and line of the stored card is what the stored "
                                                             "evidence gives.")
def every_number_stands_in_the_evidence(registered: ModelVersionReference, stores: StoresResource) -> dg.AssetCheckResult:
    """Card and evidence are read from the store again; a number of another source fails, and so does any other wording."""
    faults = card_faults(registered.version, stores.open())
    return dg.AssetCheckResult(
        passed=not faults, metadata={"version": registered.version, "faults": len(faults)},
        description="\n".join(faults[:SHOWN]) if faults else "every number and line of the card is what the evidence gives")


def write_card(version: str, stores: Stores) -> str:
    """Render the card of a version from what is stored of it now and keep it there; returns it.

    Raises ``KeyError`` for an unknown version or one without evaluation, ``StorageError`` where a file of it is damaged.
    """
    card = render_card(card_evidence(version, stores))
    stores.versions.write_file(version, CARD, card.encode())
    return card


def read_card(version: str, stores: Stores) -> str:
    """The card as it is stored; raises ``KeyError`` where there is none, ``StorageError`` where it is damaged."""
    return stores.versions.read_file(version, CARD).decode()


def card_faults(version: str, stores: Stores) -> list[str]:
    """What the stored card says otherwise than the stored evidence; a card from before the last move differs, too."""
    card, evidence = read_card(version, stores), card_evidence(version, stores)
    return [*numbers_not_in(card, evidence), *lines_not_in(card, evidence)]


def card_evidence(version: str, stores: Stores) -> dict[str, Any]:
    """All that the card of a version is made of, as it is stored now; raises what ``write_card`` does."""
    versions = stores.versions
    origin = _json(version, "origin.json", stores)
    evaluation = json.loads(versions.read_file(version, "evaluation.json", origin["report_sha256"]))
    verdict = versions.read_file(version, "verdict.json")
    moves = [asdict(move) for alias in ALIASES for move in stores.moves.history(alias)
             if version in (move.version, move.former)]
    judged = json.loads(verdict)
    return {
        "manifest": versions.read_manifest(version), "origin": origin, "evaluation": evaluation, "verdict": judged,
        "verdict_sha256": hashlib.sha256(verdict).hexdigest(), "moves": moves,
        "words": {"floor_note": _floor_note(judged["rules"]["floor"])}}


def _json(version: str, name: str, stores: Stores) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(stores.versions.read_file(version, name))
    return found


def _floor_note(floor: float) -> str:
    """Held against the built-in demand: the setting may be lowered in the very shell that renders."""
    usual: float = Settings.model_fields["performance_threshold"].default
    if floor >= usual:
        return ""
    return (f"The floor was lowered: an accuracy of {floor:g} was demanded (gates.floor in dataset.yaml, or "
            f"PERFORMANCE_THRESHOLD) where the platform's own demand is {usual:g}, as a demonstration on hard images does. "
            "That the gates let this version pass says little.")
