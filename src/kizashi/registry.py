"""The MLflow model registry: the only file that talks to it.

A version is found by the hash of its bundle, so registering the same bundle twice gives one
version. Production is the version with the alias `production`; where no such alias exists, the one
in MLflow's legacy stage Production. MLflow is imported when a registry is first used, not with this
module: it takes seconds.
"""

import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from kizashi.errors import RegistryError, RegistryUnreachable
from kizashi.runtime.bundle import MANIFEST

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion
    from mlflow.tracking import MlflowClient

T = TypeVar("T")

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"
DEFAULT_NAME = "kizashi"
PRODUCTION = "production"
CANDIDATE = "candidate"
LEGACY_STAGE = "Production"
BUNDLE_HASH = "bundle_hash"
NO_ANSWER = re.compile("Max retries exceeded|Connection refused|timed out")
"""In the text of whatever a dead server makes MLflow raise."""
PROMOTED_AT = "promoted_at"
"""Milliseconds since 1970, as MLflow's own times."""
PROMOTIONS = "promotions"
"""The tag of the model with the versions that served, oldest first, without those that a rollback
left: 1,2,1. It is the model's and not a version's, because a version may serve more than once."""
KEPT_PROMOTIONS = 100
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""MLflow's codes for: the registry answers, and does not have it."""


def tracking_uri(configured: str | None = None) -> str:
    """Where MLflow keeps runs and models: as configured, else MLFLOW_TRACKING_URI, else a SQLite
    file in the working folder."""
    return configured or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_TRACKING_URI


def quiet_mlflow() -> ModuleType:
    """MLflow, imported: silent towards its makers, and saying only what a user must know."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    import mlflow

    # "Failed to resolve installed pip version": environments made by uv hold no pip.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    # "Creating initial MLflow database tables", which ignores the level above.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    return mlflow


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model; `tags` lead back to data, commit, run and bundle."""

    name: str
    version: str
    source: str
    run_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    created: int = field(default=0, compare=False)
    """Milliseconds since 1970."""


@dataclass(frozen=True)
class Run:
    """The run that made a version: its experiment, and the last value of each metric."""

    experiment: str
    metrics: Mapping[str, float]


class Registry:
    """The registered model `name` in the registry at `uri`.

    Every method raises RegistryUnreachable when the registry cannot be reached, and RegistryError
    when it answers that it does not have what was asked for.
    """

    def __init__(self, uri: str | None = None, name: str = DEFAULT_NAME) -> None:
        self.uri = tracking_uri(uri)
        self.name = name

    @cached_property
    def _client(self) -> "MlflowClient":
        # A dead server is reported within seconds, not after minutes of retries.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        mlflow = quiet_mlflow()
        from mlflow.tracking import MlflowClient

        mlflow.set_tracking_uri(self.uri)
        return MlflowClient(self.uri, self.uri)

    def versions(self) -> list[ModelVersion]:
        """Every version, oldest first."""
        return [self._described(found) for found in self._search(f"name='{self.name}'")]

    def aliases(self) -> dict[str, str]:
        """The version that each alias names."""
        model = self._ask(lambda: self._client.get_registered_model(self.name))
        return {alias: str(version) for alias, version in dict(model.aliases or {}).items()}

    def run(self, run_id: str) -> Run:
        """One run; raises RegistryError for one that was deleted."""
        found = self._ask(lambda: self._client.get_run(run_id))
        return Run(str(found.info.experiment_id), dict(found.data.metrics))

    def find(self, bundle_hash: str) -> ModelVersion | None:
        """The version that holds the bundle with this hash."""
        found = self._search(f"name='{self.name}' and tags.{BUNDLE_HASH}='{bundle_hash}'")
        return self._described(found[-1]) if found else None

    def version(self, number: str) -> ModelVersion:
        """One version by its number; raises RegistryError naming the versions there are."""
        for found in self.versions():
            if found.version == str(number):
                return found
        known = ", ".join(found.version for found in self.versions()) or "none"
        raise RegistryError(f"model '{self.name}' has no version {number}; there are: {known}")

    def production(self) -> ModelVersion | None:
        """The version that serves, None when none was promoted."""
        aliased = self._by_alias(PRODUCTION)
        return self._described(aliased) if aliased else self._staged()

    def register(self, source: str, run_id: str | None, tags: Mapping[str, str]) -> ModelVersion:
        """Register the logged model `source` (models:/ID) as the candidate; `tags` must hold its
        bundle hash.

        A bundle that is registered already keeps its version, which becomes the candidate again.
        """
        found = self.find(tags[BUNDLE_HASH])
        if found is None:
            found = self._ask(lambda: self._create(source, run_id, tags))
        version = found.version
        self._ask(lambda: self._client.set_registered_model_alias(self.name, CANDIDATE, version))
        return found

    def promote(self, version: ModelVersion) -> None:
        """Let `version` serve, and remember which one served before it."""
        replaced, promotions = self.production(), self.promotions()
        for serving in (replaced, version):  # what replaced was promoted elsewhere, perhaps
            if serving and promotions[-1:] != [serving.version]:
                promotions.append(serving.version)
        self._tag(version, PROMOTED_AT, str(time.time_ns() // 1_000_000))
        self._let_serve(version)
        self._keep(promotions)

    def roll_back(self, version: ModelVersion) -> None:
        """Let `version`, the previous production version, serve again: the next rollback goes on
        to the one before it, not back to the one just left."""
        promotions = self.promotions()
        while promotions and promotions[-1] != version.version:
            promotions.pop()
        # Before the alias: after an end between the two, the next rollback still finds `version`.
        self._keep(promotions)
        self._let_serve(version)

    def previous_production(self) -> ModelVersion:
        """The version that was promoted before the present one.

        For a present version that was promoted elsewhere (the MLflow page, a stage) it is the one
        promoted last. Versions that a rollback left, or that were deleted, do not count. Raises
        RegistryError when there is none.
        """
        present = self.production()
        if present is None:
            raise RegistryError(f"model '{self.name}' has no production version to roll back from")
        there = {found.version: found for found in self.versions()}
        for version in reversed(self.promotions()):
            if version != present.version and version in there:
                return there[version]
        raise RegistryError(
            f"version {present.version} of '{self.name}' is the first that was promoted; "
            "choose one with: python -m pipelines.promote version=N"
        )

    def promotions(self) -> list[str]:
        """The versions that were promoted, oldest first, without those that a rollback left; the
        last is in production unless production was moved elsewhere."""
        from mlflow.exceptions import MlflowException

        def look() -> str:
            try:
                return str(self._client.get_registered_model(self.name).tags.get(PROMOTIONS, ""))
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return ""
                raise

        return [version for version in self._ask(look).split(",") if version]

    def resolve(self, uri: str) -> ModelVersion:
        """The version that a model URI means.

        `models:/NAME` is production; `models:/NAME@ALIAS`, `models:/NAME/STAGE`,
        `models:/NAME/VERSION`, `models:/NAME/latest` and `runs:/RUN/PATH` are what MLflow takes
        them for. Raises RegistryError when it means no version.
        """
        if uri.startswith("runs:/"):
            run_id = uri.removeprefix("runs:/").split("/", 1)[0]
            return ModelVersion(self.name, f"run {run_id[:8]}", uri, run_id)
        match = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/([^/@]+))?", uri)
        if match is None:
            raise RegistryError(
                f"the model URI is '{uri}'; models:/NAME, models:/NAME@ALIAS, models:/NAME/VERSION,"
                " models:/NAME/STAGE, runs:/RUN/PATH or a bundle folder is needed"
            )
        name, alias, rest = match.groups()
        return Registry._of(self, name)._resolve(alias, rest, uri)

    def download(self, version: ModelVersion, folder: Path) -> Path:
        """Fetch a version's files into `folder`; returns the bundle's folder within it."""
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

        def fetch() -> str:
            from mlflow.artifacts import download_artifacts

            uri = version.source
            if not uri.startswith("runs:/") and version.version.isdigit():
                uri = f"models:/{version.name}/{version.version}"
            return download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.uri)

        fetched = Path(self._ask(fetch))
        manifests = sorted(fetched.rglob(MANIFEST), key=lambda path: len(path.parts))
        # MLflow takes a local artifact folder that is gone for an empty one.
        if not any(fetched.rglob("*")):
            place = without_password(version.source)
            raise RegistryError(
                f"version {version.version} of '{version.name}' has no files any more; "
                f"they were at {place}"
            )
        if not manifests:
            raise RegistryError(
                f"version {version.version} of '{version.name}' holds no bundle; was it logged by "
                "another project?"
            )
        return manifests[0].parent

    def notes(self) -> list[str]:
        """What a person should know about the state of the registry, as sentences."""
        aliased, staged = self._by_alias(PRODUCTION), self._staged()
        if aliased and staged and str(aliased.version) != staged.version:
            note = (
                f"version {staged.version} is in the stage {LEGACY_STAGE}, but the alias "
                f"'{PRODUCTION}' is at version {aliased.version}: the alias decides"
            )
            return [note]
        return []

    @staticmethod
    def _of(other: "Registry", name: str) -> "Registry":
        """A registry for another model name over the same connection."""
        if name == other.name:
            return other
        registry = Registry(other.uri, name)
        registry.__dict__["_client"] = other._client
        return registry

    def _resolve(self, alias: str | None, rest: str | None, uri: str) -> ModelVersion:
        if alias is None and rest is None:
            found = self.production()
            if found is None:
                raise RegistryError(
                    f"model '{self.name}' has no production version; promote one with: "
                    "python -m pipelines.promote version=N"
                )
            return found
        if alias is not None:
            aliased = self._by_alias(alias)
            if aliased is None:
                raise RegistryError(f"model '{self.name}' has no alias '{alias}' ({uri})")
            return self._described(aliased)
        assert rest is not None
        if rest.isdigit():
            return self.version(rest)
        if rest == "latest" and (versions := self.versions()):
            return versions[-1]
        staged = self._staged(rest)
        if staged is None:
            raise RegistryError(f"model '{self.name}' has no version in stage '{rest}' ({uri})")
        return staged

    def _create(self, source: str, run_id: str | None, tags: Mapping[str, str]) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(
                self.name, description="Anomaly detector with its calibrated threshold"
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        model_id = source.removeprefix("models:/")
        stored = self._client.get_logged_model(model_id)
        created = self._client.create_model_version(
            self.name, stored.artifact_location, run_id, dict(tags), model_id=model_id
        )
        return self._described(created)

    def _by_alias(self, alias: str) -> "MlflowVersion | None":
        from mlflow.exceptions import MlflowException

        def look() -> "MlflowVersion | None":
            try:
                return self._client.get_model_version_by_alias(self.name, alias)
            except MlflowException as error:
                if error.error_code in ABSENT:
                    return None
                raise

        return self._ask(look)

    def _staged(self, stage: str = LEGACY_STAGE) -> ModelVersion | None:
        found = [
            version
            for version in self._search(f"name='{self.name}'")
            if version.current_stage and version.current_stage.lower() == stage.lower()
        ]
        return self._described(found[-1]) if found else None

    def _search(self, query: str) -> "list[MlflowVersion]":
        found: list[MlflowVersion] = list(
            self._ask(lambda: self._client.search_model_versions(query, max_results=10_000))
        )
        return sorted(found, key=lambda version: int(version.version))

    def _let_serve(self, version: ModelVersion) -> None:
        self._ask(
            lambda: self._client.set_registered_model_alias(self.name, PRODUCTION, version.version)
        )

    def _keep(self, promotions: Sequence[str]) -> None:
        text = ",".join(promotions[-KEPT_PROMOTIONS:])
        self._ask(lambda: self._client.set_registered_model_tag(self.name, PROMOTIONS, text))

    def _tag(self, version: ModelVersion, key: str, value: str) -> None:
        self._ask(
            lambda: self._client.set_model_version_tag(self.name, version.version, key, value)
        )

    def _described(self, found: "MlflowVersion") -> ModelVersion:
        return ModelVersion(
            name=self.name,
            version=str(found.version),
            source=str(found.source),
            run_id=found.run_id or None,
            tags=dict(found.tags or {}),
            created=int(found.creation_timestamp or 0),
        )

    def _ask(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except RegistryError:
            raise
        except Exception as error:  # MLflow's stores raise their own, SQLAlchemy's and requests'
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            place, reason = without_password(self.uri), without_password(reason)
            if _is_absence(error):
                raise RegistryError(f"the registry at {place} answered: {reason}") from error
            if NO_ANSWER.search(reason):
                raise RegistryUnreachable(f"the registry at {place} does not answer") from error
            raise RegistryUnreachable(f"the registry at {place} failed: {reason}") from error


def _is_absence(error: Exception) -> bool:
    """Whether MLflow, or a store of files behind it, says that it does not have something."""
    answer = getattr(error, "response", None)  # of a tracking server that hands files through
    return (
        getattr(error, "error_code", None) in ABSENT
        or getattr(answer, "status_code", None) == 404
        or isinstance(error, FileNotFoundError)
    )


def without_password(text: str) -> str:
    """The text with the password, or the key alone, of every URI in it made unreadable."""
    text = re.sub(r"(://[^:/@\s]*):(?!\d+/)\S*@", r"\1:***@", text)
    return re.sub(r"://[^:/@\s]+@", "://***@", text)
