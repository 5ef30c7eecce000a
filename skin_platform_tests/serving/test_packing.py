"""Packing: a bento has all the code that it runs, and asks for every package that this imports, in its exact version."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import skin_platform
from skin_platform.serving.footprint import footprint
from skin_platform.serving.packing import REQUIREMENTS, SERVING_CODE

PACKAGE = Path(skin_platform.__file__).parent
WHERE_WANTED = {"openvino"}  # another engine than the usual one: the setting that asks for it says to install it
NEVER = {"torch", "dagster", "mlflow", "lightning", "transformers", "obstore", "boto3", "duckdb", "pyarrow", "onnx", "sklearn"}


def packed_modules() -> dict[str, Path]:
    """The packed files by the name of their module."""
    found = [path for name in SERVING_CODE for path in ((PACKAGE / name).rglob("*.py") if (PACKAGE / name).is_dir()
                                                        else [PACKAGE / name])]
    return {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in found}


def imports_of(path: Path) -> Iterator[str]:
    """Every module that a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_everything_that_packed_code_imports_of_ours_is_packed():
    packed = packed_modules()
    for name, path in packed.items():
        missing = [module for module in imports_of(path) if module.startswith("skin_platform") and module not in packed]
        assert missing == [], f"{name} imports {missing}, which no bento holds: add it to SERVING_CODE"


def test_every_package_that_packed_code_imports_is_required_and_nothing_heavy_is():
    provided, direct = packages_distributions(), {name.partition("[")[0] for name in REQUIREMENTS}
    for name, path in packed_modules().items():
        for module in {of.split(".")[0] for of in imports_of(path)} - set(sys.stdlib_module_names) - {"skin_platform"}:
            assert module not in NEVER, f"{name} imports {module}"
            wanted = {distribution.lower().replace("_", "-") for distribution in provided[module]}
            assert module in WHERE_WANTED or wanted & direct, f"{name} imports {module}: add it to REQUIREMENTS"


def test_the_environment_of_a_bento_is_exact_and_small():
    found = footprint(REQUIREMENTS)
    pinned = {line.partition("==")[0]: line.partition("==")[2] for line in found.pins}
    assert {name.partition("[")[0] for name in REQUIREMENTS} | {"psycopg-binary", "uvicorn"} <= set(pinned)
    assert all(version(name) == pinned[name] for name in pinned)
    assert not {name for name in pinned if name in NEVER or name.startswith(("nvidia-cu", "dagster", "openvino"))}
    assert found.bytes < 350e6, found.told
