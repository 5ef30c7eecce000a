"""Which version a person means."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from skin_platform.storage.versions import ModelVersions

VersionArgument = Annotated[str, typer.Argument(help="vYYYYMMDD_HHMMSS, latest, champion or challenger")]


def named(versions: "ModelVersions", version: str) -> str:
    """The version that is meant; raises ``ValueError`` where there is none."""
    aliases = versions.aliases()
    found = versions.get_latest_version() if version == "latest" else aliases.get(version, version)
    if found is None or found not in versions.list_model_versions():
        what = f"no {version} yet" if version in ("champion", "challenger") else f"no model version {version}"
        raise ValueError(f"there is {what}: `skin models list` shows those that there are")
    return found
