"""Which version a person means."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from skin_platform.storage.versions import ModelVersions

NONE_YET = "no model version yet: `skin demo`, or the job train_now, makes one"
VersionArgument = Annotated[str, typer.Argument(help="vYYYYMMDD_HHMMSS, latest, champion or challenger")]


def named(versions: "ModelVersions", version: str) -> str:
    """The version that is meant; raises ``ValueError`` where there is none."""
    latest = versions.get_latest_version()
    if latest is None:
        raise ValueError(f"there is {NONE_YET}")
    found = latest if version == "latest" else versions.aliases().get(version, version)
    if found not in versions.list_model_versions():
        what = f"no {version} yet" if version in ("champion", "challenger") else f"no model version {version}"
        raise ValueError(f"there is {what}: `skin models list` shows those that there are")
    return found
