"""Entry names: what is said where ``dataset.yaml`` names an entry that there is not.

Here: the entries that there are at a place of nested models, and the likely one. Not here: the models (``dataset_config``).
"""

import difflib
from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel


def unknown_entry(model: type[BaseModel], path: Sequence[int | str]) -> str:
    """The sentence for the unknown entry at ``path`` below ``model``: what is probably meant, and what there is."""
    *above, name = path
    known = entries_at(model, above)
    near = difflib.get_close_matches(str(name).lower(), known, 1)
    meant = f": did you mean '{near[0]}'?" if near else ""
    return f"'{name}' is no entry here{meant} (entries: {', '.join(known)})"


def entries_at(kind: Any, path: Sequence[int | str]) -> list[str]:
    """The names of the entries at ``path`` below a model, or a dict or list of models; empty where there are none."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return entries_at(kind.model_fields[str(path[0])].annotation, path[1:]) if path else list(kind.model_fields)
    inner = get_args(kind)
    return entries_at(inner[-1], path[1:]) if inner and path else []
