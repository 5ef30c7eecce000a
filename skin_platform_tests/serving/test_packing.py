"""Packing: a bento has all the code that it runs."""

import ast
from pathlib import Path

import skin_platform
from skin_platform.serving.packing import SERVING_CODE

PACKAGE = Path(skin_platform.__file__).parent


def packed_modules() -> dict[str, Path]:
    """The packed files by the name of their module."""
    found = [path for name in SERVING_CODE for path in ((PACKAGE / name).rglob("*.py") if (PACKAGE / name).is_dir()
                                                        else [PACKAGE / name])]
    return {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path for path in found}


def test_everything_that_packed_code_imports_of_ours_is_packed():
    packed = packed_modules()
    for name, path in packed.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            wanted = [node.module] if isinstance(node, ast.ImportFrom) and node.module else (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [])
            missing = [module for module in wanted if module.startswith("skin_platform") and module not in packed]
            assert missing == [], f"{name} imports {missing}, which no bento holds: add it to SERVING_CODE"
