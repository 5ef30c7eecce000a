"""MLflow's registry: one registered model whose versions, tags and aliases are brought to what they should be.

Here: comparing what stands there with what should, and changing what differs. Not here: what should (``truth``), when
(``telling``).
"""

import json
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient, MlflowException
from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from skin_platform.defs.registry.truth import ToldVersion, Truth
from skin_platform.defs.tracking_database import experiment_in
from skin_platform.storage.moves import ALIASES

REGISTERED = "lesion_classifier"
PAGE = 200


class MlflowRegistry:
    """Our registered model in the MLflow at ``uri``."""

    def __init__(self, uri: str) -> None:
        experiment_in(uri)
        self._client = MlflowClient(tracking_uri=uri, registry_uri=uri)

    def follow(self, truth: Truth, gone: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        """Show ``truth`` and take off what is ``gone`` (version: SHA-256); what was changed, and MLflow's number a version."""
        model, found = self._model(), self._versions()
        lines, numbers = [], {}
        for version, sha256 in gone.items():
            lines += [self._delete(of, "is deleted") for of in _same(found, version, sha256)]
        for wanted in truth.versions:
            mine = _same(found, wanted.version, wanted.tags["checkpoint_sha256"])
            if not mine and wanted.run_id:
                mine = self._create(wanted, wanted.run_id)
                lines.append(f"{wanted.version} is version {mine[0].version} of {REGISTERED}" if mine else
                             f"{wanted.version} cannot be shown: MLflow's run {wanted.run_id} has no model")
            lines += [self._delete(of, "was there twice") for of in mine[1:]]
            if mine:
                numbers[wanted.version] = str(mine[0].version)
                lines += self._tag(mine[0], wanted.tags)
        return [*lines, *self._point(model, truth, numbers), *self._tell_moves(model, truth.history)], numbers

    def link(self, run_id: str, number: str) -> None:
        """Let the model that the run holds show that it is version ``number``, as MLflow's own registration does."""
        model = self._logged(run_id)
        if model is None:
            return
        shown = json.loads(model.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        if {"name": REGISTERED, "version": number} not in shown:
            value = json.dumps([*shown, {"name": REGISTERED, "version": number}])
            self._client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: value})

    def _model(self) -> RegisteredModel:
        try:
            return self._client.get_registered_model(REGISTERED)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        try:
            return self._client.create_registered_model(REGISTERED, description="Versions, aliases and moves as the platform's "
                                                        "own log has them: what is changed here is changed back.")
        except MlflowException as error:  # another process was faster
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return self._client.get_registered_model(REGISTERED)

    def _versions(self, more: str = "") -> list[ModelVersion]:
        found, token = [], None
        while True:
            page = self._client.search_model_versions(f"name = '{REGISTERED}'{more}", max_results=PAGE, page_token=token)
            found += list(page)
            token = page.token
            if not token:
                return sorted(found, key=lambda of: int(of.version))

    def _create(self, wanted: ToldVersion, run_id: str) -> list[ModelVersion]:
        """The new model version, and those that other processes made of the same at this moment; none without a model."""
        model = self._logged(run_id)
        if model is None:
            return []
        self._client.create_model_version(  # its location, since MLflow would look a models:/ address up in another registry
            REGISTERED, model.artifact_location, run_id=run_id, tags=dict(wanted.tags), model_id=model.model_id,
            await_creation_for=0)
        found = self._versions(f" and tags.version = '{wanted.version}'")
        return _same(found, wanted.version, wanted.tags["checkpoint_sha256"])

    def _logged(self, run_id: str) -> LoggedModel | None:
        """The model that the run holds: the newest, where a telling that was killed has logged it twice."""
        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        models = self._client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
        ready = sorted((model for model in models if str(model.status) == "READY"), key=lambda model: model.creation_timestamp)
        return ready[-1] if ready else None

    def _delete(self, of: ModelVersion, why: str) -> str:
        self._client.delete_model_version(REGISTERED, of.version)
        return f"{of.tags['version']} {why}: version {of.version} of {REGISTERED} is taken off"

    def _tag(self, of: ModelVersion, tags: Mapping[str, str]) -> list[str]:
        differing = {name: value for name, value in tags.items() if of.tags.get(name, "") != value}
        for name, value in differing.items():
            self._client.set_model_version_tag(REGISTERED, of.version, name, value)
        return [f"{of.tags['version']}: {name} is {value}" for name, value in differing.items()]

    def _point(self, model: RegisteredModel, truth: Truth, numbers: Mapping[str, str]) -> list[str]:
        lines, aliases = [], truth.aliases
        for alias in ALIASES:
            if aliases.get(alias) in truth.unreadable:
                continue
            wanted, now = numbers.get(aliases.get(alias, "")), model.aliases.get(alias)
            if wanted and wanted != str(now):
                self._client.set_registered_model_alias(REGISTERED, alias, wanted)
                lines.append(f"{alias} is {aliases[alias]} (version {wanted} of {REGISTERED})")
            elif now and not wanted:
                self._client.delete_registered_model_alias(REGISTERED, alias)
                lines.append(f"{alias} is none that MLflow knows")
        return lines

    def _tell_moves(self, model: RegisteredModel, history: Mapping[str, str]) -> list[str]:
        missing = {name: told for name, told in history.items() if model.tags.get(name) != told}
        for name, told in missing.items():
            self._client.set_registered_model_tag(REGISTERED, name, told)
        return [f"{name}: {told}" for name, told in missing.items()]


def _same(found: Sequence[ModelVersion], version: str, sha256: str) -> list[ModelVersion]:
    """Those that show this version, the oldest first; a version of another deployment may have the same name."""
    return [of for of in found if (of.tags.get("version"), of.tags.get("checkpoint_sha256")) == (version, sha256)]
