"""Packing: a bundle, and the code that serves it, as a bento in BentoML's store."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import yaml

import skin_platform
from skin_platform.serving.bundle import Bundle, write_bundle

SERVING_CODE = ("__init__.py", "settings.py", "dataset_config.py", "gates_config.py", "core", "serving", "storage/__init__.py",
                "storage/online.py", "storage/private_files.py")
REQUIREMENTS = ("bentoml", "fastapi", "python-multipart", "numpy", "pillow", "onnxruntime", "sqlalchemy", "pydantic",
                "pydantic-settings", "pyyaml")
BENTO_NAME = "lesion_classifier"


class PackingError(RuntimeError):
    """BentoML could not build the bento; the message ends with what it said."""


def pack(bundle: Bundle, bentoml_home: Path) -> tuple[str, str]:
    """Build a bento of ``bundle`` in the store under ``bentoml_home``; returns its tag and the bundle's digest.

    The build runs in a process of its own: BentoML imports the service from the build folder, not from here.
    """
    with tempfile.TemporaryDirectory(prefix="skin-bento-") as folder:
        stage = Path(folder)
        _copy_code(stage)
        digest = write_bundle(bundle, stage / "bundle")
        requirements = [f"{name}=={version(name)}" for name in REQUIREMENTS]
        bentofile = {
            "service": "skin_platform.serving.service:LesionService", "include": ["skin_platform/", "bundle/"],
            # BentoML's labels hold at most 63 characters; bundle.json has the digests whole
            "labels": {"dataset": bundle.provenance.dataset_digest[:32],
                       "checkpoint": bundle.provenance.checkpoint_sha256[:32]},
            "description": f"Lesion classifier {bundle.provenance.model_version}: {', '.join(bundle.labels)}",
            "python": {"packages": requirements, "lock_packages": False},
        }
        (stage / "bentofile.yaml").write_text(yaml.safe_dump(bentofile, allow_unicode=True), encoding="utf-8")
        _build(stage, bundle.provenance.model_version, bentoml_home)
    return f"{BENTO_NAME}:{bundle.provenance.model_version}", digest


def bento_folder(tag: str, bentoml_home: Path) -> Path:
    """Where the bento of ``tag`` lies; raises ``PackingError`` where it does not."""
    name, _, bento_version = tag.partition(":")
    folder = bentoml_home / "bentos" / name / bento_version
    if not folder.is_dir():
        raise PackingError(f"there is no bento {tag} in {bentoml_home}: materialize bundles/lesion_classifier")
    return folder


def _copy_code(stage: Path) -> None:
    package = Path(skin_platform.__file__).parent
    for name in SERVING_CODE:
        source, target = package / name, stage / "skin_platform" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)


def _build(stage: Path, bento_version: str, bentoml_home: Path) -> None:
    command = [sys.executable, "-m", "bentoml", "build", "--version", bento_version, str(stage)]
    environment = {**os.environ, "BENTOML_HOME": str(bentoml_home), "BENTOML_DO_NOT_TRACK": "True"}
    bentoml_home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, cwd=stage, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise PackingError(f"bentoml build failed: {(done.stderr or done.stdout).strip()[-1500:]}")
