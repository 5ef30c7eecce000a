"""Weights: where a backbone's pretrained weights lie on this machine, and that they are the ones that were named.

Here: folders laid out like a hub repository, the hub's cache, safetensors only. Nothing is ever downloaded.
Not here: building the network (``ml.backbones``).
"""

import json
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HUB_CACHE

from skin_platform.ml.config import ConfigError

COMMIT_DIGITS = 40


def weights_folder(weights: str, revision: str) -> Path:
    """The folder with ``config.json`` and safetensors that ``weights`` (a folder, or a hub id with its commit) stands for.

    A folder may also be one of the hub's cache (``models--org--name``). Raises ``ConfigError`` with the remedy.
    """
    local = Path(weights).expanduser()
    if local.is_dir():
        folder = _snapshot(local, revision) if (local / "snapshots").is_dir() else local
    else:
        if local.is_absolute() or weights.startswith((".", "~")) or weights.count("/") > 1:
            raise ConfigError(f"weights '{weights}': there is no such folder")
        if len(revision) != COMMIT_DIGITS:
            raise ConfigError(f"weights '{weights}' is no folder here, and a hub id needs revision=<commit, 40 hex digits>: "
                              "nothing is used that is not pinned")
        folder = Path(HF_HUB_CACHE) / f"models--{weights.replace('/', '--')}" / "snapshots" / revision
        if not folder.is_dir():
            raise ConfigError(f"weights '{weights}' at {revision} are not on this machine ({folder} is missing), and nothing "
                              f"is downloaded silently: run `hf download {weights} --revision {revision}` where there is a "
                              "network, or name a folder that holds config.json and model.safetensors")
    _check_files(folder, weights)
    return folder


def described(folder: Path) -> dict[str, Any]:
    """The ``config.json`` of a weights folder; raises ``ConfigError`` where it is not one that transformers knows."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{folder / 'config.json'} is not JSON: {error}") from None
    if not isinstance(found, dict) or not found.get("model_type"):
        raise ConfigError(f"{folder / 'config.json'} names no model_type that transformers would know")
    if found.get("auto_map"):
        raise ConfigError(f"{folder} wants to run code of its own (auto_map in config.json): only architectures of "
                          "transformers itself are taken")
    return found


def channel_statistics(folder: Path) -> tuple[list[float], list[float]] | None:
    """Mean and standard deviation (RGB, on the 0..1 scale) that the weights were trained with; None where they do not say."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        mean, std = ([float(value) for value in found[name]] for name in ("image_mean", "image_std"))
    except (ValueError, TypeError, KeyError):
        return None
    return (mean, std) if len(mean) == len(std) == 3 and min(std) > 0 else None


def _snapshot(cached: Path, revision: str) -> Path:
    """The snapshot of the hub's cache folder ``cached`` that ``revision`` names, or the only one."""
    found = sorted(path for path in (cached / "snapshots").iterdir() if path.is_dir())
    wanted = [path for path in found if path.name == revision] if len(revision) == COMMIT_DIGITS else found
    if len(wanted) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ConfigError(f"weights '{cached}' holds these revisions: {names}; name one of them as revision")
    return wanted[0]


def _check_files(folder: Path, weights: str) -> None:
    if not (folder / "config.json").is_file():
        raise ConfigError(f"weights '{weights}': {folder} holds no config.json, so it is not laid out like a hub repository")
    if not any((folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")):
        others = sorted(path.name for path in folder.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".ckpt", ".h5"})
        held = f" but {', '.join(others)}, which can run code when it is loaded" if others else ""
        raise ConfigError(f"weights '{weights}': {folder} holds no model.safetensors{held}: convert them with "
                          "save_pretrained(..., safe_serialization=True), or take a revision that has safetensors")
