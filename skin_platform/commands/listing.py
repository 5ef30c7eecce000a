"""`skin models list`: what each version scores, and what its verdict says now.

Here: the list, which goes on past versions that are damaged. Not here: when a verdict is stale (``defs.registry.judging``).
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.commands.versions import NONE_YET
from skin_platform.core.intervals import Interval, with_interval
from skin_platform.printing import printer
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.storage.moves import Move
    from skin_platform.storage.stores import Stores
    from skin_platform.storage.versions import ModelVersion

# of a champion by whose verdict no gate is against it: force was needed where that verdict was stale
PROMOTED = {"promoted": "promoted on it", "forced": "stale", "rolled back": "brought back"}


@dataclass(frozen=True)
class Standing:
    """What a version's verdict says now: in a word or two, the gates that refuse it, and why it says nothing (any more).

    ``precisions`` are the lower ones that it was judged in: {"openvino bf16": "passed"}.
    """

    verdict: str
    gates: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    precisions: dict[str, str] = field(default_factory=dict)

    def short(self) -> str:
        """For a narrow column: two lines at most."""
        more = f" +{len(self.gates) - 1}" if len(self.gates) > 1 else ""
        return f"refused:\n{self.gates[0]}{more}" if self.gates else self.verdict.replace(": ", ":\n")


def list_versions(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the model versions, newest first."""
    from skin_platform.storage.moves import by_force
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    found, history = stores.versions.described(), stores.moves.history("champion")
    champion = history[-1] if history else None
    standings = [replace(standing(item.version, champion, stores), precisions=_precisions(item.version, stores))
                 if not item.damage else Standing("unknown") for item in found]
    if as_json:
        told = [_as_dict(*pair, champion) for pair in zip(found, standings, strict=True)]
        print(json.dumps(told, ensure_ascii=False))
        return
    # the rest is in --json: 80 columns hold no more
    table = Table(*(Column(name, no_wrap=True) for name in ("version", "accuracy (95 %)", "alias", "verdict")))
    for item, state in zip(found, standings, strict=True):
        lower = [f"{name.rpartition(' ')[2]}: {word}" for name, word in state.precisions.items()]
        forced = champion and champion.version == item.version and by_force(history)
        table.add_row(item.version, _score(item), "\n".join([*item.aliases, *(["BY FORCE"] if forced else [])]),
                      "\n".join([state.short(), *lower]))
    printer().print(table if found else NONE_YET)
    for item in found:
        if item.damage:
            printer().print(said(item.damage), highlight=False, soft_wrap=True)


def standing(version: str, champion: "Move | None", stores: "Stores") -> Standing:
    """What the verdict on a version says, where ``champion`` is the present one."""
    from skin_platform.defs.registry.judging import faults_of, read_judgement
    from skin_platform.storage.faults import DamagedError, StorageError

    try:
        judgement = read_judgement(version, stores)
    except KeyError:
        return Standing("not judged")
    except DamagedError as error:
        return Standing("damaged: judge it anew", faults=[str(error)])
    gates = [verdict["gate"] for verdict in judgement.record.get("verdicts", []) if verdict["blocks"]]
    refused = f"refused: {', '.join(gates)}"
    if champion and champion.version == version and champion.verdict_sha256 == judgement.sha256:
        # held against its predecessor, by the gates of then: that verdict is about what was decided on it
        return Standing(refused, gates) if gates else Standing(PROMOTED[champion.kind])
    try:
        faults = faults_of(judgement, version, champion, stores)
    except (KeyError, StorageError) as error:
        return Standing("origin: not readable", faults=[str(error.args[0])])
    if faults:
        return Standing("stale", faults=faults)
    return Standing(refused, gates) if gates else Standing("no objection")


def _precisions(version: str, stores: "Stores") -> dict[str, str]:
    from skin_platform.defs.precisions import precisions_of

    return {verdict.name: "refused" if verdict.against else "passed" for verdict in precisions_of(version, stores)}


def _as_dict(item: "ModelVersion", state: Standing, champion: "Move | None") -> dict[str, Any]:
    promotion = asdict(champion) if champion and champion.version == item.version else None
    return {"version": item.version, **item.manifest, "aliases": item.aliases, "verdict": state.verdict, "faults": state.faults,
            "precisions": state.precisions, "damage": item.damage or None, "promotion": promotion}


def _score(item: "ModelVersion") -> str:
    if item.damage:
        return "manifest.json is\ndamaged: see below"
    score = item.manifest["score"]
    interval = Interval(**score["accuracy_interval"]) if score["accuracy_interval"] else None
    return f"{with_interval(score['accuracy'], interval)}\n{said(score['split'])}, n = {score['n']}"
