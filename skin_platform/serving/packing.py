"""Packing: a bundle, and the code that serves it, as a bento.

Here: what goes into a bento. Not here: where bentos lie and how one takes its place (``serving.bento_store``).
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import yaml

import skin_platform
from skin_platform.serving.bento_store import PackingError, bento_folder, place_bento, place_of
from skin_platform.serving.bundle import Bundle
from skin_platform.serving.bundle_files import BundleError, read_bundle, write_bundle
from skin_platform.serving.footprint import footprint

PACKAGE = Path(skin_platform.__file__).parent
SERVING_CODE = ("__init__.py", "settings.py", "environments.py", "dataset_config.py", "dataset_entries.py", "entry_names.py",
                "gates_config.py", "core", "serving", "storage/__init__.py", "storage/online", "storage/spool.py",
                "storage/spool_file.py", "storage/spool_opening.py", "storage/jobs.py", "storage/workers.py",
                "storage/draining.py", "storage/keys.py", "storage/key_mirror.py", "storage/private_files.py",
                "storage/home_folder.py", "storage/spool_belonging.py")
REQUIREMENTS = ("alembic", "bentoml", "fastapi", "httptools", "httpx", "numpy", "onnxruntime", "pillow",
                "packaging", "prometheus-client", "psycopg[binary]", "pydantic", "pydantic-settings", "python-dotenv",
                "python-multipart", "pyyaml", "sqlalchemy", "starlette", "structlog", "uvicorn", "uvloop")
BUILD_SECONDS = 300  # takes about five; a loaded machine may take ten times that


def pack(bundle: Bundle, bentoml_home: Path, folder: Path) -> tuple[str, str]:
    """Build a bento of ``bundle`` in the empty ``folder`` and move it into the store; returns its tag and bundle's digest.

    The build runs in a process of its own: BentoML imports the service from the build folder, not from here. Raises
    ``PackingError``.
    """
    stage = folder / "stage"
    _copy_code(stage / PACKAGE.name)
    code = serving_code_digest(stage / PACKAGE.name)
    bundle = replace(bundle, provenance=replace(bundle.provenance, serving_code_sha256=code))
    digest = write_bundle(bundle, stage / "bundle")
    (stage / "bentofile.yaml").write_text(yaml.safe_dump(_bentofile(bundle), allow_unicode=True), encoding="utf-8")
    _build(stage, bundle.provenance.model_version, folder / "home", folder / "tmp")
    place_bento(bundle.provenance.tag, folder / "home", bentoml_home)
    return bundle.provenance.tag, digest


def repack(bundle: Bundle, bentoml_home: Path, folder: Path) -> None:
    """Replace the bento of ``bundle`` by the same one with this model card and these verdicts, made in the empty ``folder``.

    Nothing else of it changes, so that BentoML need not build it anew. Raises ``PackingError`` where it is gone.
    """
    tag = bundle.provenance.tag
    made = place_of(tag, folder / "home")
    shutil.copytree(bento_folder(tag, bentoml_home), made, ignore=shutil.ignore_patterns("bundle", "__pycache__"))
    write_bundle(bundle, made / "src" / "bundle")
    place_bento(tag, folder / "home", bentoml_home)


def packed_bundle(tag: str, bentoml_home: Path) -> Bundle:
    """The bundle in the bento of ``tag``, which is whole and of the serving code in force.

    Raises ``PackingError`` where there is none, or of other code; ``BundleError`` where it is damaged.
    """
    source = bento_folder(tag, bentoml_home) / "src"
    bundle = read_bundle(source / "bundle")
    try:
        packed = serving_code_digest(source / PACKAGE.name)
    except OSError as error:
        raise BundleError(f"the bento {tag} is damaged: {error}") from error
    if {packed, bundle.provenance.serving_code_sha256} != {serving_code_digest(PACKAGE)}:
        raise PackingError(f"the bento {tag} is of other serving code than this")
    return bundle


def serving_code_digest(package: Path) -> str:
    """SHA-256 of the serving code in the folder of the package, and of the packages (as installed here) that it needs."""
    digest = hashlib.sha256("\n".join(requirements()).encode())
    for path in sorted(_code_files(package)):
        digest.update(f"\n{path.relative_to(package).as_posix()}\n{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()


def requirements() -> list[str]:
    """The packages that the packed code imports, what drives PostgreSQL, and all that those need, each as it is here."""
    return list(footprint(REQUIREMENTS).pins)


def _code_files(package: Path) -> Iterator[Path]:
    for name in SERVING_CODE:
        found = package / name
        yield from (path for path in found.rglob("*") if path.is_file() and "__pycache__" not in path.parts) \
            if found.is_dir() else (found,)


def _copy_code(target: Path) -> None:
    for source in _code_files(PACKAGE):
        copied = target / source.relative_to(PACKAGE)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copied)


def _bentofile(bundle: Bundle) -> dict[str, object]:
    return {
        "service": "skin_platform.serving.service:LesionService", "include": ["skin_platform/", "bundle/"],
        # BentoML's labels hold at most 63 characters; bundle.json has the digests whole
        "labels": {"dataset": bundle.provenance.dataset_digest[:32], "checkpoint": bundle.provenance.checkpoint_sha256[:32]},
        "description": f"Lesion classifier {bundle.provenance.model_version}: {', '.join(bundle.labels)}",
        "python": {"packages": requirements(), "lock_packages": False},
    }


def _build(stage: Path, bento_version: str, bentoml_home: Path, temporary: Path) -> None:
    command = [sys.executable, "-m", "bentoml", "build", "--version", bento_version, str(stage)]
    for folder in (bentoml_home, temporary):
        folder.mkdir(parents=True)
    environment = {**os.environ, "BENTOML_HOME": str(bentoml_home), "BENTOML_DO_NOT_TRACK": "True", "TMPDIR": str(temporary)}
    try:
        done = subprocess.run(command, cwd=stage, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS,
                              check=False)
    except subprocess.TimeoutExpired:
        raise PackingError(f"bentoml build did not end within {BUILD_SECONDS} s: try again when the machine has less to do") \
            from None
    if done.returncode != 0:
        raise PackingError(f"bentoml build failed: {(done.stderr or done.stdout).strip()[-1500:]}")
