"""The compiled locks: what is installed, by name, version and hash."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PEERS = "../bench/serving/environments"
PEER_LOCKS = [f"{PEERS}/{name}" for name in ("arrow", "bentoml", "litserve", "mlflow", "mlserver")]
LOCKS = ["serving", "serving-all", "train", "dev", "bench", "uv", *PEER_LOCKS]
# What a serving host must not need: each brings a training library or hundreds of megabytes.
TRAINING_ONLY = {"dvc", "hydra-core", "mlflow", "pandas", "pyarrow", "pytorch-lightning", "torch"}


def text(lock: str) -> str:
    return (ROOT / "requirements" / f"{lock}.txt").read_text()


def pins(lock: str) -> dict[str, set[str]]:
    """The versions of each package; markers can make it more than one."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", text(lock), re.M):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address_and_no_path(lock: str) -> None:
    own = re.compile(
        r"kizashi \(pyproject\.toml\)|-[cr] (requirements/(serving|serving-all|train)\.txt|-)$"
    )
    for line in text(lock).splitlines():
        rest = own.sub("", line)
        assert "://" not in rest and "/" not in rest, line
        assert not rest.lstrip("# ").startswith("-") or "--hash=sha256:" in rest, line


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_has_a_hash(lock: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", text(lock), flags=re.M)
    unhashed = [entry.splitlines()[0] for entry in entries[1:] if "--hash=sha256:" not in entry]
    assert entries[1:] and not unhashed


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [("serving", "serving-all"), ("serving", "train"), ("train", "dev"), ("train", "bench")],
)
def test_a_larger_lock_has_the_versions_of_the_smaller(smaller: str, larger: str) -> None:
    inside, outside = pins(smaller), pins(larger)
    assert {name: outside.get(name) for name in inside} == inside


def test_every_server_of_the_bench_has_its_lock() -> None:
    folder = ROOT / "bench" / "serving" / "environments"
    stated = {one.stem for one in folder.glob("*.in")}
    assert {one.stem for one in folder.glob("*.txt")} == stated
    assert {f"{PEERS}/{name}" for name in stated} == set(PEER_LOCKS)
    assert pins(f"{PEERS}/arrow").items() <= pins("train").items()


def test_the_bench_is_added_to_a_development_environment_without_changing_it() -> None:
    bench, development = pins("bench"), pins("dev")
    both = bench.keys() & development.keys()
    assert {name: bench[name] for name in both} == {name: development[name] for name in both}
    assert "pyod" in bench and "pyod" not in development


def test_the_serving_lock_has_no_training_library() -> None:
    assert not TRAINING_ONLY & set(pins("serving"))
    assert set(pins("train")) >= TRAINING_ONLY
