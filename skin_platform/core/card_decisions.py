"""What was decided on a version, as its card tells it: the gates' verdicts, and the moves of the aliases.

Here: the sentences and tables, from the evidence. Not here: the rest of the card (``core.model_card``), the decisions
themselves (``core.gates``, ``defs.registry``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from skin_platform.core.findings import NOT_JUDGED
from skin_platform.core.markdown import code, escaped, moment, table

Fields = Mapping[str, Any]
GATE_WORDS = {"passed": "passed", "failed": "**failed**", "too few": "*too few to judge*", NOT_JUDGED: "*not judged*"}


def standing(evidence: Fields) -> str:
    """Champion, challenger, former champion or none of them, by the moves that concern the version."""
    version, moves = evidence["manifest"]["version"], _moves(evidence)
    for alias in ("champion", "challenger"):
        log = [move for move in moves if move["alias"] == alias]
        if log and log[-1]["version"] == version:
            return alias
    was = any(move["alias"] == "champion" and move["version"] == version for move in moves)
    return "former champion" if was else "registered, neither champion nor challenger"


def loud(evidence: Fields) -> list[str]:
    """What nobody may overlook: that it was promoted against the gates, that the floor was lowered."""
    version, lines = evidence["manifest"]["version"], []
    for move in _moves(evidence):
        if move["kind"] == "forced" and move["version"] == version:
            lines += [f"**Forced promotion. {escaped(move['by'])} made this version the {escaped(move['alias'])} at "
                      f"{moment(move['at'])} against the gates. Reason given: {escaped(move['why'])}.** "
                      f"{_against(evidence, move)}".rstrip(), ""]
    note = (evidence.get("words") or {}).get("floor_note")
    return [*lines, f"**{escaped(note)}**", ""] if note else lines


def gates(evidence: Fields) -> list[str]:
    """The section with each gate's verdict and its reason."""
    verdict = evidence.get("verdict")
    if not verdict:
        return ["## Gates", "", "**This version was not judged yet.**"]
    rival, compared = verdict.get("champion"), verdict.get("compared")
    against = f"held against the champion {code(rival['version'])}" if rival else "with no champion to hold it against"
    on = (f", on {compared['n']} images that the champion had not learnt from ({compared['left_out']} left out)"
          if compared else "")
    rows = [[escaped(item["gate"]), GATE_WORDS.get(item["status"], escaped(item["status"])),
             "**yes**" if item["blocks"] else "no", escaped(item["reason"])] for item in verdict["verdicts"]]
    return ["## Gates", "", f"Judged at {moment(verdict.get('judged_at'))}, {against}{on}.", "",
            *table(["gate", "verdict", "stands against promotion", "reason"], rows), *_judged_nothing(verdict["verdicts"])]


def history(evidence: Fields) -> list[str]:
    """The section with every move to or from this version, oldest first."""
    rows = [[moment(move["at"]), move["number"], f"{escaped(move['kind'])} as {escaped(move['alias'])}", code(move["version"]),
             code(move["former"]), escaped(move["by"]), escaped(move["why"])]
            for move in sorted(_moves(evidence), key=lambda move: str(move["at"]))]
    if not rows:
        return ["## History", "", "No alias ever named it."]
    return ["## History", "", *table(["at", "move", "what", "version", "in place of", "by", "why"], rows)]


def _judged_nothing(verdicts: Sequence[Fields]) -> list[str]:
    """The gates that let pass without having looked at anything, each with why."""
    idle = [f"{escaped(item['gate'])} ({escaped(item['reason'])})" for item in verdicts if item["status"] == NOT_JUDGED]
    return ["", f"Gates that judged nothing, and so say nothing for this version: {'; '.join(idle)}."] if idle else []


def _against(evidence: Fields, move: Fields) -> str:
    """What the gates said, where the reason given does not quote it already."""
    verdict = evidence.get("verdict") or {}
    found = [item for item in verdict.get("verdicts", []) if item["blocks"]]
    if found and all(item["reason"] in move["why"] for item in found):
        return ""
    blocking = [f"{escaped(item['gate'])}: {escaped(item['reason'])}" for item in found]
    when = "at that time" if move.get("verdict_sha256") == evidence.get("verdict_sha256") else "when it was judged last"
    if not verdict:
        return "It was not judged."
    return f"Against it, {when}: {'; '.join(blocking)}." if blocking else f"No gate stood against it {when}."


def _moves(evidence: Fields) -> Sequence[Fields]:
    """The moves, each alias's in their order."""
    return sorted(evidence.get("moves") or [], key=lambda move: (str(move["alias"]), int(move["number"])))
