"""`skin models judge`: what the gates say of a version, as it was trained or computed less exactly.

Here: the two verdicts, shown. Not here: how they come about (``defs.registry``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.commands.promoting import REFUSED, account
from skin_platform.commands.versions import VersionArgument, named
from skin_platform.printing import printer
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.storage.stores import Stores

PrecisionOption = Annotated[str | None, typer.Option(
    help="judge it as SKIN_PRECISION=bf16 (or f16) would answer, which a service does only with such a verdict")]
EngineOption = Annotated[str, typer.Option(help="of SKIN_ENGINE, what computes in that precision")]


def judge(
    version: VersionArgument, precision: PrecisionOption = None, engine: EngineOption = "openvino", home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a version anew: against the present champion, by the gates of dataset.yaml. Ends with 2 where one blocks.

    With --precision its exported model is asked about the test split once more, in that precision, on this machine.
    """
    from skin_platform.storage.stores import Stores

    stores = Stores(settings_of(home))
    name = named(stores.versions, version)
    blocks = _judge(name, stores, as_json=as_json) if precision is None else _judge_precision(
        name, engine, precision, stores, as_json=as_json)
    if blocks:
        raise typer.Exit(REFUSED)


def _judge(name: str, stores: "Stores", *, as_json: bool) -> bool:
    from skin_platform.defs.registry.judging import judge_version

    judgement = judge_version(name, stores, account())
    if as_json:
        print(json.dumps(judgement.record, ensure_ascii=False))
    else:
        champion = judgement.record["champion"]
        _show(f"{name} against {champion['version'] if champion else 'no champion yet'}", judgement.verdicts)
        print("nothing is against promoting it" if not judgement.blocks else "it is not to be promoted")
    return bool(judgement.blocks)


def _judge_precision(name: str, engine: str, precision: str, stores: "Stores", *, as_json: bool) -> bool:
    from skin_platform.defs.registry.precision import judge_precision

    verdict = judge_precision(name, engine, precision, stores, account())
    if as_json:
        print(json.dumps(asdict(verdict) | {"passed": not verdict.against, "tolerance": verdict.tolerance}, ensure_ascii=False))
        return bool(verdict.against)
    rival = f" and {verdict.champion}" if verdict.champion else ""
    _show(f"{name} in {engine} {precision} against itself in f32{rival}", verdict.gates)
    left_out = f" ({verdict.left_out} withdrawn since)" if verdict.left_out else ""
    flags = "" if verdict.other_flags is None else f", another flag for unknown kinds on {verdict.other_flags:.2%}"
    lines = [f"on {verdict.n} images of '{verdict.split}'{left_out}, by {verdict.place}:",
             f"the first label is that of f32 on {verdict.agreement:.2%}, a probability is off by {verdict.worst:.2g} at "
             f"most{flags}",
             "it may not answer so: leave SKIN_PRECISION at f32" if verdict.against else
             f"a service with SKIN_ENGINE={engine} and SKIN_PRECISION={precision} takes it; golden images may be off by "
             f"{verdict.tolerance:.2g} there"]
    for line in lines:
        printer().print(said(line), highlight=False, soft_wrap=True)
    return bool(verdict.against)


def _show(title: str, verdicts: Sequence[Mapping[str, Any]]) -> None:
    table = Table("gate", "status", "why", title=title)
    for verdict in verdicts:
        table.add_row(verdict["gate"], f"{verdict['status']}{', blocks' if verdict['blocks'] else ''}", said(verdict["reason"]))
    printer().print(table)
