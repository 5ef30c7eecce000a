"""`skin trace`: from an answer back to the images and the code, and from an image on to the answers.

Here: what is shown. Not here: the chains (``lineage``, ``image_lineage``).
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from skin_platform.commands.options import HomeOption, JsonOption, settings_of
from skin_platform.printing import printer
from skin_platform.saying import said

if TYPE_CHECKING:
    from skin_platform.image_lineage import ImageTrace
    from skin_platform.lineage import Trace, TracedImages

SHORT = 12  # digits of a digest in a table


def trace(
    prediction_id: Annotated[str | None, typer.Argument(help="the prediction_id of an answer of /predict")] = None,
    image: Annotated[str | None, typer.Option("--image", metavar="SHA256", help="the other way: what came of this image, by "
                                              "the SHA-256 of its stored bytes or of the delivered file")] = None,
    manifest: Annotated[bool, typer.Option("--manifest", help="print only the dataset's canonical manifest; its SHA-256 "
                                           "(pipe it into sha256sum) is the dataset digest")] = False,
    images: Annotated[bool, typer.Option("--images", help="with the address of each training image, and whether its object "
                                         "is there")] = False,
    home: HomeOption = None, as_json: JsonOption = False,
) -> None:
    """Follow a prediction to its bundle, version, evaluation, dataset, images and code; or an image to what came of it."""
    if (prediction_id is None) == (image is None):
        raise typer.BadParameter("give either a prediction id, or --image with a SHA-256")
    if image is not None:
        _trace_image(image, home, is_json=as_json)
        return
    from skin_platform.lineage import missing_objects, trace_prediction
    from skin_platform.storage.stores import Stores

    settings = settings_of(home)
    found, rows = trace_prediction(str(prediction_id), settings)
    missing = missing_objects(rows.training, Stores(settings)) if images else None
    if manifest:
        sys.stdout.write(rows.manifest)
    elif as_json:
        told = {"training": [vars(row) for row in rows.training]} | ({"missing": missing} if images else {})
        print(json.dumps(found.as_dict() | told, ensure_ascii=False))
    else:
        _show_prediction(printer(), found, rows, missing)


def _trace_image(image: str, home: Any, *, is_json: bool) -> None:
    from skin_platform.image_lineage import trace_image

    found = trace_image(image, settings_of(home))
    if is_json:
        print(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _show_image(printer(), found)


def _show_prediction(console: Console, trace: "Trace", images: "TracedImages", missing: Sequence[str] | None) -> None:
    from skin_platform.telling import show_chain

    show_chain(console, trace.as_dict())
    console.print(f"\n{len(images.training)} training images (of {len(images.rows)} in the dataset, whose manifest hashes to "
                  f"{trace.dataset_digest}):", soft_wrap=True, highlight=False)
    gone = set(missing or ())
    for row in images.training:
        address = "" if missing is None else f"  {'GONE  ' if row.sha256 in gone else ''}{row.s3_uri}"
        console.print(f"{row.sha256}  {said(row.label)}{said(address)}", highlight=False, soft_wrap=True)
    if missing is not None:
        console.print(f"{len(images.training) - len(gone)} of {len(images.training)} objects are there", highlight=False)


def _show_image(console: Console, found: "ImageTrace") -> None:
    console.print(f"image  {found.sha256}\nobject {said(found.object or 'nowhere any more')}", highlight=False, soft_wrap=True)
    _rows(console, "delivered in", found.deliveries, ("batch_id", "label", "split", "ingested_at", "exclusion", "erased_at"))
    _rows(console, "in the datasets", found.datasets, ("digest", "frozen_at", "label", "split"))
    _rows(console, "in the models", found.models, ("version", "role", "dataset_digest"))
    if found.bundles:
        console.print(f"\ncarried as a golden image by {', '.join(map(said, found.bundles))}", highlight=False, soft_wrap=True)
    _rows(console, "answers on it", found.predictions, ("prediction_id", "predicted_at", "model_version", "label"))


def _rows(console: Console, title: str, rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    console.print(f"\n[bold]{title}[/]{'' if rows else ': none'}", highlight=False)
    if not rows:
        return
    table = Table(*(Column(name.replace("_", " "), overflow="fold", no_wrap=place == 0) for place, name in enumerate(columns)),
                  box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(said(_short(name, row.get(name))) for name in columns))
    console.print(table)


def _short(name: str, value: object) -> str:
    text = "" if value is None else str(value)
    return text[:SHORT] if "digest" in name else text[:19] if name.endswith("_at") else text
