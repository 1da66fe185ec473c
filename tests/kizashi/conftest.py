"""One MLflow store for every test here: making one takes seconds."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kizashi.registry import Registry
from kizashi.runtime.bundle import Bundle
from tests.bundles import press_line_bundle

MLFLOWS_OWN_WARNINGS = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated"),
    pytest.mark.filterwarnings("ignore:Operation with range is deprecated"),
]
"""Of its queries, and of how it stores an input example."""


@dataclass
class Store:
    """An MLflow store in SQLite with its artifacts beside it, and small bundles to put in it.

    Tests keep apart by the names of their models and experiments.
    """

    folder: Path
    uri: str
    bundles: dict[int, Bundle] = field(default_factory=dict)

    def registry(self, name: str) -> Registry:
        return Registry(self.uri, name)

    def bundle(self, seed: int) -> Bundle:
        if seed not in self.bundles:
            self.bundles[seed] = press_line_bundle(self.folder / f"bundle-{seed}", seed=seed)
        return self.bundles[seed]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow is when it makes a store is where artifacts go
        assert Registry(uri).versions() == []
    return Store(folder, uri)
