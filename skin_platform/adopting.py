"""Adopting: the demo writes the ``dataset.yaml`` of its own home, for the labels that a delivery brings.

Here: which labels those are, and the floor just above chance that lets a demo end with an answer on hard data. Not here: the
walk (``demo``). No other command lowers a gate.
"""

import math
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from skin_platform.core.delivery_tables import DeliveredTable, decoded, is_table, labels_delivered, read_table
from skin_platform.core.layout import Vocabulary
from skin_platform.dataset_template import render_dataset_config
from skin_platform.defs.listening import Told
from skin_platform.settings import Settings
from skin_platform.storage.places import LandingFolder


class DemoError(RuntimeError):
    """The demo cannot be run on this input; the message says why and what would help."""


def adopt(folder: Path, settings: Settings, tell: Callable[[Told], None]) -> str:
    """Name the labels of ``folder`` in the home's ``dataset.yaml``, with a floor just above chance.

    The former file stays beside it. Returns what is to be noted at the end, "" for nothing. Raises ``DemoError``.
    """
    if not folder.is_dir():
        raise DemoError(f"{folder} is no folder")
    labels = _labels_in(folder, settings.dataset.vocabulary)
    if labels == sorted(settings.dataset.labels):
        lower_floor(settings, tell)
        return ""
    config = settings.dataset_config_path
    config.with_suffix(".yaml.previous").write_bytes(config.read_bytes())
    floor = just_above_chance(labels)
    config.write_text(render_dataset_config(labels, folder.name, floor), encoding="utf-8")
    tell(Told("dataset.yaml", "made", f"labels: {', '.join(labels)}; floor of the gates: {floor:g}, for this demo"))
    return f"{config} now names the labels of {folder.name}; the former file is {config.name}.previous"


def lower_floor(settings: Settings, tell: Callable[[Told], None]) -> None:
    """Write a floor just above chance into a ``dataset.yaml`` of the home that nobody has changed; a person's own stays."""
    config, dataset = settings.dataset_config_path, settings.dataset
    untouched = render_dataset_config(dataset.labels, dataset.source)
    if config == settings.home.dataset_config and config.read_text(encoding="utf-8") == untouched:
        floor = just_above_chance(dataset.labels)
        config.write_text(render_dataset_config(dataset.labels, dataset.source, floor), encoding="utf-8")
        tell(Told("dataset.yaml", "made", f"floor of the gates: {floor:g}, for this demo"))


def just_above_chance(labels: list[str]) -> float:
    """The accuracy of guessing among ``labels``, and a little: 0.34 for three."""
    return math.floor(100 / max(2, len(labels))) / 100 + 0.01


def _labels_in(folder: Path, vocabulary: Vocabulary) -> list[str]:
    place = LandingFolder(folder)
    files = [PurePosixPath(Path(file.path).relative_to(folder).as_posix()) for file in place.scan()]
    tables: dict[PurePosixPath, DeliveredTable] = {}
    for file in files:
        if is_table(file.name):
            try:
                tables[file] = read_table(decoded(place.read(str(file))[1]), vocabulary)
            except (OSError, ValueError) as error:
                # folders would do as labels, but the table may hold better ones, and the patients
                raise DemoError(f"{folder / file} cannot be used: {error}. Mend it, or take it out of the folder") from None
    labels = labels_delivered(files, tables, vocabulary)
    if not labels:
        kinds = ", ".join(sorted({file.suffix.lower() or "(none)" for file in files})) or "no files"
        raise DemoError(f"no labels in {folder}: JPEG or PNG images must stand in label folders or be listed in a "
                        f"manifest.csv (extensions there: {kinds})")
    return labels
