"""The IO manager: hands small references from asset to asset, and carries lineage with them.

An input is the reference that the upstream asset wrote in this run (or in the run that this one re-executes), else its newest.
"""

from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import TypeAdapter

from skin_platform.defs.resources import StoresResource


class ReferenceIOManager(dg.ConfigurableIOManager):
    """Stores the dataclasses of ``core.references`` as JSON in the data bucket."""

    stores: dg.ResourceDependency[StoresResource]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Keep the reference."""
        self.stores.open().references.write(_path(context), context.run_id, asdict(obj))

    def load_input(self, context: dg.InputContext) -> Any:
        """The upstream's reference, as the type that the asset asks for."""
        run = context.step_context.dagster_run
        run_ids = [run_id for run_id in (run.run_id, run.parent_run_id, run.root_run_id) if run_id]
        try:
            stored = self.stores.open().references.read(_path(context), run_ids)
        except KeyError as error:
            raise dg.Failure(f"{error.args[0]}: materialize it first", allow_retries=False) from None
        return TypeAdapter(context.dagster_type.typing_type).validate_python(stored)


def _path(context: dg.OutputContext | dg.InputContext) -> list[str]:
    partition = [context.asset_partition_key] if context.has_asset_partitions else []
    return [*context.asset_key.path, *partition]
