"""Telling: what the command line shows of a walk, a plan and a trace."""

import shlex
import time
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from skin_platform.core.intervals import Interval, with_interval
from skin_platform.defs.listening import Told
from skin_platform.demo import Story
from skin_platform.ingesting import Outcome
from skin_platform.planning import Plan
from skin_platform.saying import said

SHOWN_ROWS = 40  # of a plan or a quarantine on a terminal; --json has them all


class Teller:
    """Prints what happens, a line each, with the seconds since the start."""

    def __init__(self, console: Console) -> None:
        self._console, self._started = console, time.monotonic()

    def tell(self, told: Told) -> None:
        """One line: an asset that begins, one that is made, or a line of its log."""
        text = {"begun": f"[bold]{told.asset}[/] …", "made": f"[green]✓[/] [bold]{told.asset}[/] {said(told.text)}",
                "log": f"    [dim]{said(told.text)}[/]"}[told.kind]
        self._console.print(f"[cyan]{time.monotonic() - self._started:6.1f} s[/] {text}", highlight=False, soft_wrap=True)


def show_story(console: Console, story: Story, seconds: float) -> None:
    """The summary of a demo: stages, quarantine, scores, answer, trace."""
    stages = Table("stage", "seconds", title="\nThe walk")
    for name, value in story.stages.items():
        stages.add_row(name, f"{value:.1f}")
    stages.add_row("[bold]in all[/]", f"[bold]{seconds:.1f}[/]")
    console.print(stages)
    _show_quarantine(console, story)
    console.print(f"labels: {', '.join(story.labels)}\nimages in the catalogue that may be trained on: {story.images}",
                  highlight=False)
    console.print(_scores(story), highlight=False, soft_wrap=True)
    console.print(_promotion(story), highlight=False, soft_wrap=True)
    show_chain(console, story.trace)
    for note in story.notes:
        console.print(f"note: {said(note)}", highlight=False, soft_wrap=True)
    at = f" --home {shlex.quote(story.home)}"
    console.print("\n[bold]Next[/] (`skin` is in .venv/bin; `make dev` and `make serve` do the same for SKIN_HOME)")
    for command, what in ((f"skin dev{at}", "every step in the Dagster UI, sensors on"),
                          (f"skin serve{at}", "the champion's bundle"),
                          (f"skin models list{at}", "the versions, their scores and verdicts"),
                          (f"skin trace {story.answer['prediction_id']}{at}", "the images behind this answer")):
        console.print(f"  [bold]{said(command)}[/]  {what}", highlight=False, soft_wrap=True)


def _scores(story: Story) -> str:
    """The scores with 95 % intervals and what they rest on."""
    told = story.metrics
    accuracy, macro_f1 = (
        with_interval(told[name], Interval(**found) if (found := told[f"{name}_interval"]) else None)
        for name in ("accuracy", "macro_f1"))
    return (f"on the {told['n']} images of split '{told['split']}', with 95 % intervals: accuracy {accuracy}, "
            f"macro F1 {macro_f1}; chance is {1 / len(story.labels):.2f}")


def _promotion(story: Story) -> str:
    """Which version answers."""
    told = story.promotion
    if not told["champion"]:
        return f"[bold]no version is promoted[/]: {told['trained']} was refused (see the note below)"
    kept = f", not the new {told['trained']}, which was refused (see the note below)" if told["refused_by"] else ""
    return f"{told['champion']} answers{kept}; the accuracy that was asked for is {told['floor']:g} (`skin models history`)"


def show_chain(console: Console, trace: dict[str, Any]) -> None:
    """The chain of one prediction, a line a link, digests whole so that they can be copied; then what was verified."""
    console.print("\n[bold]Where the answer comes from[/]")
    width = max(len(name) for name in trace)
    for name, value in trace.items():
        if name not in {"links", "feedback"}:
            console.print(f"  {name.replace('_', ' '):<{width}}  {said(str(value))}", highlight=False, soft_wrap=True)
    for given in trace["feedback"]:
        console.print(f"  {_opinion(given)}", highlight=False, soft_wrap=True)
    for link in trace["links"]:
        mark = "[green]✓[/]" if link["is_verified"] else "[yellow]–[/]"
        console.print(f"  {mark} {said(link['link'])}: {said(link['how'])}", highlight=False, soft_wrap=True)


def _opinion(given: dict[str, Any]) -> str:
    """One person's word on the image: the label, who, when, the note, and whether a later one took its place."""
    note = f": {given['note']}" if given["note"] else ""
    told = f"feedback: {given['correct_label']}, by {given['given_by']} at {given['given_at']}{note}"
    return said(told) if given["counts"] else f"[dim]{said(told)} (does not count: a later word of the same person does)[/]"


def show_plan(console: Console, plan: Plan) -> None:
    """What an ingest would do: counts that add up to the files there, and each file that is not simply new."""
    counts = plan.counts
    told = [f"{count} {fate}" for fate, count in counts.items() if count or fate == "new"]
    console.print(f"{said(plan.source)}: {sum(counts.values())} file(s) there: {', '.join(told)}", highlight=False,
                  soft_wrap=True)
    for warning in plan.warnings:
        console.print(f"[yellow]warning[/]: {said(warning)}", highlight=False, soft_wrap=True)
    if counts["claimed by an unfinished batch"]:
        console.print("`skin ingest` finishes what was claimed and interrupted", highlight=False, soft_wrap=True)
    labels = Table("label", "split", "new")
    for (label, split), count in sorted(Counter((f.label or "", f.split or "") for f in plan.files if f.fate == "new").items()):
        labels.add_row(said(label), split or "(none given)", str(count))
    if labels.row_count:
        console.print(labels)
    odd = [*(file for file in plan.files if file.fate in ("conflict", "kept out", "quarantined")), *plan.remarks]
    if odd:
        table = Table("file", "fate", "why")
        for file in odd[:SHOWN_ROWS]:
            table.add_row(said(file.file), file.fate, said(file.why))
        console.print(table)
        if len(odd) > SHOWN_ROWS:
            console.print(f"… and {len(odd) - SHOWN_ROWS} more (--json lists all)")


def show_outcome(console: Console, outcome: Outcome, *, is_plan: bool) -> None:
    """The last line of an ingest: how many files were taken, kept out of training, refused."""
    will = "would be " if is_plan else ""
    parts = [f"{outcome.taken} of {outcome.files} file(s) {will}taken"]
    if outcome.kept_out:
        parts.append(f"{outcome.kept_out} of them without consent to training")
    if outcome.refused:
        parts.append(f"{outcome.refused} {will}refused" + ("" if is_plan else " (`skin quarantine` lists them)"))
    if outcome.remarks:
        parts.append(f"{outcome.remarks} remark(s) on tables")
    console.print(f"[{'bold red' if outcome.took_nothing else 'bold'}]{'; '.join(parts)}[/]", highlight=False, soft_wrap=True)


def _show_quarantine(console: Console, story: Story) -> None:
    if not story.quarantined:
        console.print("quarantine: nothing")
        return
    table = Table("file", "reason", title=f"\nQuarantine: {len(story.quarantined)} file(s) were refused, the rest went on")
    for row in story.quarantined[:SHOWN_ROWS]:
        table.add_row(said(str(row["file"])), said(str(row["reason"])))
    console.print(table)
    if len(story.quarantined) > SHOWN_ROWS:
        console.print(f"… and {len(story.quarantined) - SHOWN_ROWS} more: skin quarantine")
