"""What a model card tells of the detector of images of another kind.

Here: the section, from the evidence. Not here: the rest of the card (``core.model_card``), the detector (``core.ood``).
"""

from collections.abc import Mapping
from typing import Any

from skin_platform.core.markdown import escaped, figure, with_bounds
from skin_platform.core.ood import why_there_is_none

Fields = Mapping[str, Any]
HEADING = "## Images of another kind"


def detection(evidence: Fields) -> list[str]:
    """Which share of images like its own it may flag, which share it did flag, and what that leaves open."""
    found = evidence["evaluation"].get("ood")
    if not found or found["level_in_force"] is None:
        return [HEADING, "", "Whether an image is of another kind than those it learnt from, this version does not tell: "
                f"{why_there_is_none(found)}. In its answers `out_of_distribution` is null."]
    return [HEADING, "", "Beside its answer the model says whether an image seems to be of another kind than those it learnt "
            "from, as noise or a page of text is. Of images of the same kind, it is made to flag a share of "
            f"{figure(found['level_in_force'])} at most; that rests on {found['calibration_images']} images that it did not "
            f"learn from. {_flagged(found)} How many images of another kind it flags depends on how different they are, and "
            "was not measured: an image that is not flagged may be of another kind all the same.", "",
            escaped(found["assumption"])]


def _flagged(found: Fields) -> str:
    flagged = found.get("flagged")
    if not flagged:
        return "On which share of other images that holds was not measured, as no split is locked."
    return (f"Of {flagged['n']} locked images, it flagged {flagged['images']}: a share of "
            f"{with_bounds(flagged['share'], flagged)}.")
