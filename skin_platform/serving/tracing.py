"""Tracing: the route ``GET /lineage/predictions/{id}``, from an answer back to what made it.

Here: what the service itself can tell, from its bundles and the online store. Not here: the chain down to the objects and the
code, which needs the object store (``lineage``).
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.params import Depends


def add_routes(app: FastAPI, dependencies: Sequence[Depends] = ()) -> None:
    """Mount the route; ``dependencies`` decide who may ask (the scope ``operate``)."""
    app.add_api_route("/lineage/predictions/{prediction_id}", lineage, methods=["GET"], dependencies=list(dependencies))


def lineage(prediction_id: str) -> dict[str, Any]:
    """The chain of a prediction."""
    return {"prediction_id": prediction_id}
