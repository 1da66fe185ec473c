"""The configuration of a detector as the parts that training needs."""

from functools import partial

from omegaconf import DictConfig

from kizashi.models.autoencoder import Autoencoder
from kizashi.training.fit import Recipe
from pipelines.command import build, setting


def recipe(config: DictConfig) -> Recipe:
    """Build every part; raises ConfigurationError for the first value that cannot be used."""
    network = partial(_network, config.model)
    network(1, 1)  # wrong values are found now, before any data is read
    return Recipe(
        network=network,
        scaler=build(config.scaler),
        scorer=build(config.scorer),
        threshold=build(config.threshold),
        trainer=build(config.trainer),
        seed=setting(config, "seed", int),
        trim=setting(config, "trim", float),
    )


def _network(model: DictConfig, n_sensors: int, window_length: int) -> Autoencoder:
    network: Autoencoder = build(model, n_sensors=n_sensors, window_length=window_length)
    return network
