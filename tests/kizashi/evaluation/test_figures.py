import io

import numpy as np
import pytest
from matplotlib.figure import Figure

from kizashi.evaluation.figures import error_histogram, loss_curves
from kizashi.runtime.calibration import Calibration
from kizashi.runtime.detector import Detector
from kizashi.runtime.thresholds import MadThreshold
from tests.bundles import press_line_bundle


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    return press_line_bundle(tmp_path_factory.mktemp("press-line")).detector


def drawn(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def legend(figure: Figure) -> list[str]:
    found = figure.axes[0].get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def test_the_histogram_counts_every_calibration_score_and_marks_the_threshold(
    detector: Detector,
) -> None:
    figure = error_histogram(detector)
    counted = sum(bar.get_height() for bar in figure.axes[0].patches)  # type: ignore[attr-defined]
    assert counted == len(detector.calibration.scores)
    assert figure.axes[0].get_xlabel() == "score"  # whatever the scorer
    (line,) = figure.axes[0].lines
    assert set(np.asarray(line.get_xdata())) == {detector.threshold.value}
    assert drawn(figure).startswith(b"\x89PNG")


def test_faulty_scores_are_drawn_beside_the_normal_ones(detector: Detector) -> None:
    assert not any("faulty" in text for text in legend(error_histogram(detector)))
    assert any("faulty" in text for text in legend(error_histogram(detector, [5.0, 50.0])))


def test_a_score_of_0_is_counted_too(detector: Detector) -> None:
    scores = np.array([0.0, 0.0, 1.0, 2.0])
    calibration, threshold = Calibration(scores), MadThreshold().fit(scores)
    parts = (detector.contract, detector.scaler, detector.network, detector.scorer)
    figure = error_histogram(Detector(*parts, calibration, threshold))
    assert sum(bar.get_height() for bar in figure.axes[0].patches) == 4  # type: ignore[attr-defined]


def test_scores_that_are_all_0_can_still_be_drawn(detector: Detector) -> None:
    zeros = np.zeros(10)
    flat = Detector(
        detector.contract,
        detector.scaler,
        detector.network,
        detector.scorer,
        Calibration(zeros),
        MadThreshold().fit(zeros),
    )
    assert drawn(error_histogram(flat)).startswith(b"\x89PNG")


def test_each_loss_is_a_curve_by_epoch() -> None:
    figure = loss_curves({"train_loss": [3.0, 2.0, 1.0], "validation_loss": [3.0, 2.5, 2.0]})
    curves = {
        str(line.get_label()): np.asarray(line.get_ydata()).tolist()
        for line in figure.axes[0].lines
    }
    assert curves == {"train loss": [3.0, 2.0, 1.0], "validation loss": [3.0, 2.5, 2.0]}
    assert drawn(figure).startswith(b"\x89PNG")
