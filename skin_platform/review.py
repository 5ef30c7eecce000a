"""Review by hand: the queue as `skin review list` shows it, and making it anew through the job that the UI shows."""

from collections.abc import Callable

from pydantic import TypeAdapter

from skin_platform.core.review import ReviewItem, ReviewReference, ranked
from skin_platform.defs.listening import Told
from skin_platform.defs.walk import instance_in, walk_job
from skin_platform.settings import Settings
from skin_platform.storage.stores import Stores


def newest_queue(stores: Stores) -> tuple[ReviewReference, list[ReviewItem]]:
    """The newest queue without what was decided since; raises ``ValueError`` where there is none yet."""
    try:
        stored = stores.references.read(["metadata", "review_queue"])
    except KeyError:
        raise ValueError("there is no review queue yet: make one with `skin review make`") from None
    reference = TypeAdapter(ReviewReference).validate_python(stored)
    items = stores.review.read(reference.key, reference.sha256)
    return reference, ranked(items, (decision.sha256 for decision in stores.resolutions.in_force()))


def make_queue(settings: Settings, tell: Callable[[Told], None]) -> None:
    """Run the job ``review_labels`` on the instance that the UI shows."""
    from skin_platform.definitions import build_definitions
    from skin_platform.defs.resources import default_resources

    with instance_in(settings.home.dagster) as instance:
        walk_job(build_definitions(default_resources(settings)), instance, "review_labels", tell)
