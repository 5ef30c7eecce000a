"""What is behind the log of moves: the export, the model cards, MLflow's registry. Found cheaply, from what is there.

Here: noticing, and a sentence on each. Not here: bringing it in step (``promoting.follow``, ``telling``), when one looks
(``sensor``).
"""

from skin_platform.core.card_check import lines_not_in
from skin_platform.defs.registry.model_card import card_evidence, read_card
from skin_platform.defs.registry.truth import registry_out_of_step
from skin_platform.serving.bundle_files import BundleError, read_bundle
from skin_platform.serving.exporting import read_promotion
from skin_platform.storage.faults import StorageError
from skin_platform.storage.moves import ALIASES
from skin_platform.storage.stores import Stores


def behind_the_moves(stores: Stores, *, cards: bool = True) -> dict[str, str]:
    """What is behind ("export", "cards", "mlflow") with a sentence on it; ``cards`` False: they are not looked at."""
    stale = stale_cards(stores) if cards else []
    untold = registry_out_of_step(stores)
    found = {"export": _export_fault(stores),
             "cards": f"the model card of {', '.join(stale)} is from before its last move or verdict" if stale else "",
             "mlflow": "MLflow's registry was not told of all versions, verdicts and moves" if untold else ""}
    return {name: told for name, told in found.items() if told}


def stale_cards(stores: Stores) -> list[str]:
    """The versions of the last moves whose stored card is not what their evidence gives now, or that have none yet.

    Where a file is damaged it is not, either: who writes the card anew learns what is wrong.
    """
    return [version for version in _concerned(stores) if _is_stale(version, stores)]


def _is_stale(version: str, stores: Stores) -> bool:
    try:
        evidence = card_evidence(version, stores)
    except KeyError:  # deleted, or never judged: nothing to write a card from
        return False
    except StorageError:
        return True
    try:
        return bool(lines_not_in(read_card(version, stores), evidence))
    except (KeyError, StorageError):
        return True


def _concerned(stores: Stores) -> list[str]:
    moves = [move for alias in ALIASES if (move := stores.moves.current(alias))]
    return sorted({version for move in moves for version in (move.version, move.former) if version})


def _export_damage(stores: Stores) -> str:
    try:
        read_bundle(stores.settings.home.export.resolve())
    except (BundleError, OSError) as error:
        return f"the export of the champion is damaged: {error}"
    return ""


def _export_fault(stores: Stores) -> str:
    champion, exported = stores.moves.current("champion"), read_promotion(stores.settings.home.export)
    if champion is None:
        return "there is no champion, and yet an export" if exported else ""
    if exported is None:
        return f"the champion {champion.version} is not exported"
    if (exported.version, exported.number) == (champion.version, champion.number):
        return _export_damage(stores)
    return f"{exported.version} is exported, and {champion.version} is the champion since {champion.at}"
