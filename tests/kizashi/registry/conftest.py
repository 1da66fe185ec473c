"""A registered model of its own for each test."""

import warnings
from typing import NamedTuple

import pytest
from mlflow import MlflowClient

from kizashi.registry import (
    BUNDLE_HASH,
    ModelVersion,
    Registry,
)
from tests.kizashi.conftest import Store


class Model(NamedTuple):
    """A registered model of its own name, as a test and as the MLflow page see it."""

    registry: Registry
    client: MlflowClient

    @property
    def name(self) -> str:
        return self.registry.name

    def add(self, count: int = 1) -> list[ModelVersion]:
        """Register bundle folders as versions, without the cost of a run for each."""
        first = len(self.registry.versions())
        if not first:
            self.client.create_registered_model(self.name)
        for number in range(first, first + count):
            tags = {BUNDLE_HASH: f"hash-{number}"}
            self.client.create_model_version(self.name, f"/nowhere/{number}", tags=tags)
        return self.registry.versions()[first:]

    def point(self, alias: str, version: str) -> None:
        """Move an alias as the MLflow page does."""
        self.client.set_registered_model_alias(self.name, alias, version)

    def stage(self, version: str, stage: str) -> None:
        """Move a version to a legacy stage as the MLflow page does."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.client.transition_model_version_stage(self.name, version, stage)

    def promote(self, *versions: str) -> None:
        for version in versions:
            self.registry.promote(self.registry.version(version))

    def roll_back(self) -> str:
        """As `pipelines.rollback` does; the version that serves now."""
        self.registry.roll_back(self.registry.previous_production())
        return self.serving()

    def serving(self) -> str:
        present = self.registry.production()
        assert present is not None
        return present.version


@pytest.fixture
def model(store: Store, request: pytest.FixtureRequest) -> Model:
    return Model(store.registry(request.node.name[:100]), MlflowClient(store.uri, store.uri))
