"""The bundle: the folder that holds one whole detector, with a hash over every byte of it.

    manifest.json      format, and the SHA-256 of every other file
    detector.json      data contract, scaler, scorer, threshold
    arrays.npz         their arrays and the calibration scores, and the normal windows that scores
                       with missing values are calibrated on (read without pickle)
    network.onnx       the network
    imputer.onnx       what fills in missing values, where some may be missing
    example.json       a normal window and its score on the machine that made the bundle

It carries no run id, commit or time: on one machine with the same packages, the same data, config
and seed give the same hash (another processor rounds differently). It names its parts by kinds from
closed tables, never by import path, so it cannot name code to run.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kizashi.errors import BundleError, KizashiError, NotCalibrated, UnusableScore
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.contract import DataContract
from kizashi.runtime.detector import Detector
from kizashi.runtime.missing import MissingValues
from kizashi.runtime.network import OnnxNetwork
from kizashi.runtime.scaling import Scaler
from kizashi.runtime.scoring import restore_scorer
from kizashi.runtime.thresholds import Threshold

FORMAT = 2
MANIFEST = "manifest.json"
FILES = ("detector.json", "arrays.npz", "network.onnx", "example.json")
IMPUTER = "imputer.onnx"
EXAMPLE_TOLERANCE = 1e-3
"""Relative difference allowed between the example's stored score and a new one: processors round
differently, broken bundles are off by far more."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded, verified bundle."""

    detector: Detector
    hash: str
    folder: Path
    example: npt.NDArray[np.float64]
    """A normal window, original units, shape (T, F)."""
    example_score: float

    def check_example(self) -> None:
        """Score the bundle's own example; raises BundleError when the score is another one."""
        try:
            score = float(self.detector.score(self.example[None])[0])
        except UnusableScore:
            score = np.nan
        allowed = EXAMPLE_TOLERANCE * max(abs(self.example_score), self.detector.threshold.value)
        # A stored score that is not finite would allow any difference.
        if not (abs(score - self.example_score) <= allowed and np.isfinite(allowed)):
            raise BundleError(
                f"bundle {self.hash[:12]} scores its own example {score:.6g}; "
                f"{self.example_score:.6g} was stored with it"
            )


def save_bundle(
    detector: Detector, network: bytes, example: npt.NDArray[np.float64], folder: Path
) -> Bundle:
    """Write `detector` with its ONNX `network` into `folder`, replacing a bundle there.

    Other files in the folder stay: it may be one that the user keeps more in. `example` is one
    normal window in original units, shape (T, F). Returns the bundle as loaded back from the
    folder. Raises NotCalibrated, and leaves the folder as it was, when a part is not fitted.
    """
    arrays: dict[str, npt.NDArray[Any]] = {
        "calibration": detector.calibration.scores,
        "calibration_blocks": np.array(detector.calibration.blocks, dtype=np.int64),
    }
    parts = {
        "contract": detector.contract.to_dict(),
        "scaler": detector.scaler.to_dict(),
        "scorer": detector.scorer.to_dict(),
        "threshold": detector.threshold.to_dict(),
        "missing": None,
    }
    missing = detector.missing
    if missing is not None:
        parts["missing"] = {"scaled": missing.scaled, "seen": missing.seen}
    score = float(detector.score(example[None])[0])
    contents = {
        "detector.json": _json(_without_arrays(parts, "", arrays)),
        "arrays.npz": _npz(arrays),
        "network.onnx": network,
        "example.json": _json({"values": example.tolist(), "score": score}),
    }
    if missing is not None:
        contents[IMPUTER] = missing.imputer.model
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[MANIFEST] = _json({"format": FORMAT, "files": hashes})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IMPUTER).unlink(missing_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return load_bundle(folder)


def bundle_hash(folder: Path) -> str:
    """The hash that names the bundle in `folder`, without checking its files.

    Raises BundleError when there is no manifest.
    """
    return hashlib.sha256(_read(folder, MANIFEST)).hexdigest()


def bundle_files(folder: Path) -> tuple[str, ...]:
    """The names of the files of the bundle in `folder`, whether or not they are there.

    Raises BundleError when there is no manifest, or one that cannot be read.
    """
    listed = _parse(folder, MANIFEST, _read(folder, MANIFEST)).get("files")
    return (MANIFEST, *_names(listed if isinstance(listed, dict) else {}))


def _names(listed: Mapping[str, Any]) -> tuple[str, ...]:
    # Not what the manifest says: a forged one must not name files elsewhere.
    return (*FILES, IMPUTER) if IMPUTER in listed else FILES


def load_bundle(folder: Path) -> Bundle:
    """Read and verify the bundle in `folder`; files beside its own are ignored.

    Raises BundleError when a file is missing or altered, or the format is not known.
    """
    named = _read(folder, MANIFEST)
    manifest = _parse(folder, MANIFEST, named)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"bundle {folder}: format is {manifest.get('format')!r}; this version reads {FORMAT}"
        )
    hashes = manifest.get("files")
    if not isinstance(hashes, dict):
        raise BundleError(f"bundle {folder}: the manifest lists no files")
    contents = {name: _read(folder, name) for name in _names(hashes)}
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != hashes.get(name):
            raise BundleError(f"bundle {folder}: {name} is not the file that was saved")
    try:
        # The manifest is not read again: it may have been replaced since.
        return _assemble(folder, contents, hashlib.sha256(named).hexdigest())
    except (BundleError, NotCalibrated):
        raise
    except KizashiError as error:
        raise BundleError(f"bundle {folder}: {error}") from error
    except Exception as error:  # a forged file makes NumPy and zipfile raise nearly anything
        raise BundleError(f"bundle {folder}: cannot be read: {error!r}") from error


def _assemble(folder: Path, contents: Mapping[str, bytes], name: str) -> Bundle:
    with np.load(io.BytesIO(contents["arrays.npz"]), allow_pickle=False) as stored:
        arrays = dict(stored)
    parts = _with_arrays(_parse(folder, "detector.json", contents["detector.json"]), arrays)
    example = _parse(folder, "example.json", contents["example.json"])
    kept, missing = parts["missing"], None
    if kept is not None:
        imputer = OnnxNetwork(contents[IMPUTER])
        missing = MissingValues(imputer, kept["scaled"], bool(kept["seen"]))
    detector = Detector(
        contract=DataContract.from_dict(parts["contract"]),
        scaler=Scaler.from_dict(parts["scaler"]),
        network=OnnxNetwork(contents["network.onnx"]),
        scorer=restore_scorer(parts["scorer"]),
        calibration=Calibration(arrays["calibration"], arrays["calibration_blocks"].tolist()),
        threshold=Threshold.from_dict(parts["threshold"]),
        missing=missing,
    )
    return Bundle(
        detector=detector,
        hash=name,
        folder=folder,
        example=np.array(example["values"], dtype=np.float64),
        example_score=float(example["score"]),
    )


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise BundleError(
            f"bundle {folder}: {name} cannot be read ({error.strerror or error})"
        ) from error


def _parse(folder: Path, name: str, content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise BundleError(f"bundle {folder}: {name} is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise BundleError(f"bundle {folder}: {name} is not a JSON object")
    return parsed


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode() + b"\n"


def _npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as an NPZ; its entries carry no time, so equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(sorted(arrays.items())))
    return buffer.getvalue()


def _without_arrays(value: Any, path: str, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """`value` with each array moved to `arrays` under its path and a reference in its place."""
    if isinstance(value, Mapping):
        return {
            key: _without_arrays(inner, f"{path}.{key}" if path else key, arrays)
            for key, inner in value.items()
        }
    if isinstance(value, np.ndarray):
        arrays[path] = value
        return {"array": path}
    return value


def _with_arrays(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if set(value) == {"array"}:
            return arrays[value["array"]]
        return {key: _with_arrays(inner, arrays) for key, inner in value.items()}
    return value
