import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kizashi.errors import BundleError, NotCalibrated
from kizashi.runtime import bundle as bundle_module
from kizashi.runtime.bundle import (
    FILES,
    FORMAT,
    MANIFEST,
    Bundle,
    bundle_hash,
    load_bundle,
    save_bundle,
)
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.detector import Detector, rebuild
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.scaling import SCALERS
from kizashi.runtime.scoring import SCORERS
from kizashi.runtime.thresholds import THRESHOLDS, ConformalThreshold
from tests.bundles import NORMAL_ROW, press_line_bundle, press_line_rows
from tests.scorers import unfitted
from tests.scores import with_labels

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good bundle that no test changes."""
    return press_line_bundle(tmp_path_factory.mktemp("saved") / "bundle").folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy of a good bundle, to break."""
    return Path(shutil.copytree(saved, tmp_path / "bundle"))


def sign(folder: Path) -> None:
    """Make the manifest agree with the files, as someone who forges a bundle would."""
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES}
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT, "files": files}))


def forge(folder: Path, name: str, edit: Edit) -> None:
    content = json.loads((folder / name).read_text(encoding="utf-8"))
    edit(content)
    (folder / name).write_text(json.dumps(content))
    sign(folder)


def test_a_loaded_bundle_judges_as_the_saved_detector_did(tmp_path: Path) -> None:
    original = press_line_bundle(tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle")
    windows_BTF = press_line_rows(200, seed=9)[:, None, :]
    assert np.array_equal(loaded.detector.score(windows_BTF), original.detector.score(windows_BTF))
    assert loaded.detector.contract == original.detector.contract
    assert loaded.detector.threshold.to_dict() == original.detector.threshold.to_dict()
    assert loaded.hash == original.hash == bundle_hash(tmp_path / "bundle")


def test_the_blocks_of_cross_fitted_scores_are_kept(tmp_path: Path) -> None:
    bundle = press_line_bundle(tmp_path / "a")
    scores = bundle.detector.calibration.scores
    cross_fitted = replace(
        bundle.detector, calibration=Calibration(scores, (100, len(scores) - 100))
    )
    network = (tmp_path / "a" / "network.onnx").read_bytes()
    saved = save_bundle(cross_fitted, network, bundle.example, tmp_path / "b")
    assert saved.detector.calibration.blocks == (100, len(scores) - 100)
    assert bundle.detector.calibration.blocks == ()


def test_the_same_detector_gives_the_same_bytes_anywhere(tmp_path: Path) -> None:
    here, there = press_line_bundle(tmp_path / "a"), press_line_bundle(tmp_path / "b" / "c")
    assert here.hash == there.hash
    for name in (*FILES, MANIFEST):
        assert (here.folder / name).read_bytes() == (there.folder / name).read_bytes()


def test_another_detector_gives_another_hash(tmp_path: Path, saved: Path) -> None:
    assert press_line_bundle(tmp_path / "a", seed=1).hash != bundle_hash(saved)
    assert press_line_bundle(tmp_path / "b", alpha=0.02).hash != bundle_hash(saved)


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_every_combination_of_parts_survives_a_bundle(
    saved: Path, tmp_path: Path, scaler: str, scorer: str, threshold: str
) -> None:
    good = load_bundle(saved).detector
    assert isinstance(good.network, OnnxNetwork)
    rows_NF = press_line_rows(400)
    fitted = SCALERS[scaler]().fit(rows_NF)
    seen = rebuild(fitted, good.network, rows_NF[:, None, :])
    combined = Detector(
        contract=good.contract,
        scaler=fitted,
        network=good.network,
        scorer=unfitted(scorer).fit(seen),
        calibration=good.calibration,
        threshold=THRESHOLDS[threshold]().fit(with_labels(good.calibration.scores)),
    )
    bundle = save_bundle(combined, good.network.model, np.array([NORMAL_ROW]), tmp_path / "b")
    bundle.check_example()
    windows_BTF = rows_NF[:, None, :]
    assert np.array_equal(bundle.detector.score(windows_BTF), combined.score(windows_BTF))
    kinds = json.loads((bundle.folder / "detector.json").read_text(encoding="utf-8"))
    assert (kinds["scaler"]["kind"], kinds["scorer"]["kind"]) == (scaler, scorer)
    assert kinds["threshold"]["kind"] == threshold


def test_saving_replaces_a_bundle_that_is_there(folder: Path, saved: Path) -> None:
    bundle = press_line_bundle(folder, seed=1)
    assert load_bundle(folder).hash == bundle.hash != bundle_hash(saved)
    assert sorted(path.name for path in folder.iterdir()) == sorted((*FILES, MANIFEST))


def test_saving_into_a_folder_keeps_what_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "work.py").write_text("my work")
    press_line_bundle(tmp_path)
    assert (tmp_path / "src" / "work.py").read_text() == "my work"


def test_files_beside_a_bundles_own_are_ignored(folder: Path, saved: Path) -> None:
    (folder / "registered_model_meta").write_text("model_name: kizashi")
    (folder / "more").mkdir()
    assert load_bundle(folder).hash == bundle_hash(saved)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f": {name} cannot be read "):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "spoil",
    [lambda content: content[: len(content) // 2], lambda content: b"", lambda c: c + b"\n"],
    ids=["cut in half", "emptied", "one byte longer"],
)
def test_an_altered_file_is_named(folder: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(spoil((folder / name).read_bytes()))
    with pytest.raises(BundleError, match=f": {name} is not the file that was saved$"):
        load_bundle(folder)


def test_one_flipped_bit_is_found(folder: Path) -> None:
    content = bytearray((folder / "network.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "network.onnx").write_bytes(bytes(content))
    with pytest.raises(BundleError, match=r"network\.onnx is not the file that was saved"):
        load_bundle(folder)


def test_a_folder_that_is_no_bundle_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read \(No such file"):
        load_bundle(tmp_path)
    with pytest.raises(BundleError, match=r"manifest\.json cannot be read \(No such file"):
        bundle_hash(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"{}", "format is None; this version reads 2"),
        (b'{"format": 1}', "format is 1; this version reads 2"),
        (b'{"format": "2"}', "format is '2'; this version reads 2"),
        (b'{"format": 2}', "the manifest lists no files"),
        (b'{"format": 2, "files": {}}', r"detector\.json is not the file that was saved"),
        (b'{"format": 2, "files": []}', "the manifest lists no files"),
        (b'{"format": 2, "files": null}', "the manifest lists no files"),
    ],
)
def test_a_manifest_that_cannot_be_used_is_refused(
    folder: Path, content: bytes, message: str
) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("scaler", "scaler kind is 'os.system'; known are standard"),
        ("scorer", "scorer kind is 'os.system'; known are reconstruction_error"),
        ("threshold", "threshold kind is 'os.system'; known are conformal"),
    ],
)
def test_a_part_of_an_unknown_kind_is_refused_even_when_the_hashes_agree(
    folder: Path, part: str, message: str
) -> None:
    forge(folder, "detector.json", lambda parts: parts[part].update(kind="os.system"))
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    "edit",
    [
        lambda parts: parts.pop("scaler"),
        lambda parts: parts.update(threshold=[]),
        lambda parts: parts.update(contract=None),
        lambda parts: parts["contract"].update(sensors=[]),
        lambda parts: parts["contract"]["sensors"][0].update(colour="red"),
        lambda parts: parts["contract"].update(window_length="8"),
        lambda parts: parts["scaler"].update(center={"array": "nowhere"}),
        lambda parts: parts["scaler"].update(center="abc"),
        lambda parts: parts["scorer"].update(kind=["reconstruction_error"]),
        lambda parts: parts["threshold"].pop("guarantee"),
    ],
    ids=[
        "no scaler",
        "threshold is a list",
        "no contract",
        "no sensors",
        "a sensor with an unknown field",
        "window length is a text",
        "an array that is not there",
        "centre is a text",
        "kind is a list",
        "no guarantee",
    ],
)
def test_a_description_that_makes_no_detector_is_refused(folder: Path, edit: Edit) -> None:
    forge(folder, "detector.json", edit)
    with pytest.raises(BundleError):
        load_bundle(folder)


@pytest.mark.parametrize("value", [None, "high", float("nan")])
def test_a_bundle_without_a_threshold_is_not_calibrated(folder: Path, value: object) -> None:
    forge(folder, "detector.json", lambda parts: parts["threshold"].update(value=value))
    with pytest.raises(NotCalibrated, match=r"^the stored threshold is "):
        load_bundle(folder)


def test_an_uncalibrated_detector_cannot_be_saved(saved: Path, tmp_path: Path) -> None:
    good = load_bundle(saved).detector
    unfitted = Detector(
        contract=good.contract,
        scaler=good.scaler,
        network=good.network,
        scorer=good.scorer,
        calibration=good.calibration,
        threshold=ConformalThreshold(),
    )
    with pytest.raises(NotCalibrated, match=r"^threshold 'conformal' has not been calibrated$"):
        save_bundle(unfitted, b"", np.array([NORMAL_ROW]), tmp_path / "bundle")


def test_saving_an_uncalibrated_detector_leaves_the_bundle_that_is_there(folder: Path) -> None:
    before, good = bundle_hash(folder), load_bundle(folder).detector
    unfitted = Detector(
        good.contract,
        good.scaler,
        good.network,
        good.scorer,
        good.calibration,
        ConformalThreshold(),
    )
    with pytest.raises(NotCalibrated):
        save_bundle(unfitted, b"", np.array([NORMAL_ROW]), folder)
    assert load_bundle(folder).hash == before


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("wrapped", ["object array in the npz", "the whole file a pickle"])
def test_a_pickle_among_the_arrays_is_refused_and_never_run(
    folder: Path, tmp_path: Path, wrapped: str
) -> None:
    sprung = tmp_path / "sprung"
    arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
    if wrapped == "the whole file a pickle":
        content = pickle.dumps(Trap(sprung))
    else:
        buffer = io.BytesIO()
        arrays["calibration"] = np.array([Trap(sprung)], dtype=object)
        np.savez(buffer, allow_pickle=True, **arrays)
        content = buffer.getvalue()
    (folder / "arrays.npz").write_bytes(content)
    sign(folder)
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(folder)
    assert not sprung.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not arrays", b"\x93NUMPY"])
def test_arrays_that_cannot_be_read_are_refused(folder: Path, content: bytes) -> None:
    (folder / "arrays.npz").write_bytes(content)
    sign(folder)
    with pytest.raises(BundleError, match="cannot be read"):
        load_bundle(folder)


@pytest.mark.parametrize("scores", [[], [1.0, np.nan]])
def test_calibration_scores_that_cannot_calibrate_are_refused(
    folder: Path, scores: list[float]
) -> None:
    arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
    np.savez(folder / "arrays.npz", **(arrays | {"calibration": np.array(scores)}))
    sign(folder)
    with pytest.raises(BundleError, match="calibration"):
        load_bundle(folder)


def test_a_network_that_is_none_is_refused(folder: Path) -> None:
    (folder / "network.onnx").write_bytes(b"nothing")
    sign(folder)
    with pytest.raises(BundleError, match="the network is not a usable ONNX model"):
        load_bundle(folder)


def test_a_good_bundle_scores_its_own_example(saved: Path) -> None:
    load_bundle(saved).check_example()


@pytest.mark.parametrize("score", [10.0, -1.0, float("nan"), float("inf")])
def test_a_bundle_that_scores_its_example_differently_is_refused(
    folder: Path, score: float
) -> None:
    forge(folder, "example.json", lambda example: example.update(score=score))
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match=f"bundle {bundle.hash[:12]} scores its own example "):
        bundle.check_example()


def test_a_bundle_bears_the_hash_of_the_manifest_it_was_checked_by(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may replace the manifest while the bundle is being read."""
    known, assemble = bundle_hash(folder), bundle_module._assemble

    def replaced(*parts: Any) -> Bundle:
        (folder / "manifest.json").write_text("{}")
        return assemble(*parts)

    monkeypatch.setattr(bundle_module, "_assemble", replaced)
    assert load_bundle(folder).hash == known


def test_a_network_that_answers_nan_is_found_by_the_example(folder: Path) -> None:
    arrays = dict(np.load(folder / "arrays.npz", allow_pickle=False))
    arrays["scaler.spread"] = np.full(3, np.nan)
    np.savez(folder / "arrays.npz", **arrays)
    sign(folder)
    with pytest.raises(BundleError, match="scores its own example nan"):
        load_bundle(folder).check_example()


def test_rounding_on_another_processor_is_allowed(folder: Path) -> None:
    forge(folder, "example.json", lambda example: example.update(score=example["score"] * 1.0001))
    load_bundle(folder).check_example()
