"""`skin predict`: images, asked of a running service, a line each as the answers come."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from skin_platform.commands.remedies import in_plain_words
from skin_platform.saying import said
from skin_platform.settings import load_settings

if TYPE_CHECKING:
    from skin_platform.client import SkinClient

HOPELESS = {"unreachable", "bad_address", "unauthorized", "forbidden", "keys_unknown", "no_champion", "not_ready", "not_found",
            "spool_full"}  # whatever the image
AT_ONCE = 8  # requests under way: the service computes together what comes together
NO_DETECTOR = ("This model version cannot tell whether an image is of another kind than those it learnt from: "
               "/model-status says why.")
Told = dict[str, Any]


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="JPEG or PNG files")],
    url: Annotated[str | None, typer.Option(help="the service (default: API_BASE_URL)")] = None,
    api_key: Annotated[str | None, typer.Option(help="default: API_KEY, which no list of processes shows")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="how many labels")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="print a JSON object for each image: the answer, or `error`")] = False,
) -> None:
    """Ask a running service about images. Ends with 0 where all were answered, else with 1."""
    from skin_platform.client import ApiError

    settings = load_settings()
    key = settings.api_key.get_secret_value() if api_key is None else api_key
    source = "--api-key" if api_key else "API_KEY" if key else None
    try:
        failed, notice = _ask(images, url or settings.api_base_url, key, top_k, as_json=as_json)
    except ApiError as error:
        raise RuntimeError(in_plain_words(error.code, error.message, source=source, status=error.status)) from None
    if not as_json:
        _close(len(images), failed, notice)
    raise typer.Exit(int(failed > 0))


def _ask(images: list[Path], url: str, key: str, top_k: int, *, as_json: bool) -> tuple[int, str]:
    """Print what is answered to each image; how many were not, and the service's notice. Raises as ``_answers``."""
    from skin_platform.client import SkinClient

    width = max(len(said(str(path))) for path in images)
    failed, notice = 0, ""
    with SkinClient(url, key) as client:
        for path, told in zip(images, _answers(images, client, top_k), strict=True):
            failed += "error" in told
            if "error" not in told:
                notice = told["notice"] if told["out_of_distribution"] else f"{told['notice']} {NO_DETECTOR}"
            if as_json:
                print(json.dumps({"file": str(path)} | told, ensure_ascii=False), flush=True)
            else:
                _show(str(path), told, width)
    return failed, notice


def _answers(images: list[Path], client: "SkinClient", top_k: int) -> Iterator[Told]:
    """The answer or the ``error`` of each image, in order; no more images are read ahead than are under way.

    Raises ``ApiError`` where no image could be answered.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        under_way: list[Future[Told]] = []
        try:
            for path in images:
                under_way.append(pool.submit(_answer, path, client, top_k))
                if len(under_way) > AT_ONCE:
                    yield under_way.pop(0).result()
            while under_way:
                yield under_way.pop(0).result()
        finally:
            for left in under_way:
                left.cancel()


def _answer(path: Path, client: "SkinClient", top_k: int) -> Told:
    from skin_platform.client import ApiError

    try:
        return client.predict(path, top_k)
    except ApiError as error:
        if error.code in HOPELESS:
            raise
        return _error(error.status, error.code, error.message, error.request_id)
    except OSError as error:
        return _error(0, "unreadable", f"{error.strerror}: check the path")


def _error(status: int, code: str, message: str, request_id: str | None = None) -> Told:
    return {"error": {"status": status, "code": code, "message": message, "request_id": request_id}}


def _show(name: str, told: Told, width: int) -> None:
    """One line: the labels with their probabilities, then what limits them."""
    if "error" in told:
        error = told["error"]
        why = in_plain_words(error["code"], error["message"], status=error["status"])
        _print(f"{said(name):<{width}}  [bold red]{said(error['code'])}[/]: {said(why)}", is_fault=True)
        return
    best = ", ".join(f"{said(item['label'])} {item['probability']:.2f}" for item in told["top_k"])
    held = told["prediction_set"]
    notes = [f"[yellow]abstained: {said(told['abstained_reason'])}[/]" if told["abstained"]
             else f"[dim]{held['coverage']:.0%} set: {said(', '.join(held['labels']))}[/]"]
    if (found := told.get("out_of_distribution")) and found["flagged"]:
        notes.append(f"[yellow]unlike the images that were learnt from (p {found['p_value']:.3g})[/]")
    _print("  ".join([f"{said(name):<{width}}", best, *notes]))


def _close(asked: int, failed: int, notice: str) -> None:
    if failed:
        _print(f"{failed} of {asked} images were not answered", is_fault=True)
    if notice:
        _print(f"[dim]{said(notice)}[/]", is_fault=True)  # not among the answers, which may go into a file


def _print(text: str, *, is_fault: bool = False) -> None:
    Console(stderr=is_fault).print(text, highlight=False, soft_wrap=True)
