"""GET /threshold: what another threshold would mean, and setting one by hand."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from serving.following.detectors import Detectors, Served
from serving.model import view
from serving.pages.frame import asked_locale, page, script_data
from serving.pages.histogram import draw_histogram
from serving.pages.trying import waiting
from serving.pages.view import threshold_words
from serving.threshold.desk import Desk

router = APIRouter(include_in_schema=False)


@router.get("/threshold", response_class=HTMLResponse)
def threshold_page(request: Request) -> Response:
    """503 with a page that waits when there is no model yet."""
    locale = asked_locale(request)
    detectors: Detectors = request.app.state.detectors
    served = detectors.current
    if served is None:
        return waiting(request, locale, "threshold")
    value = served.detector.threshold.value
    drawn = draw_histogram(served.detector.calibration.scores, max(value, served.calibrated))
    shown = {
        "place": "threshold",
        "data": script_data(request, locale, threshold=_data(request, served, drawn.end)),
        "served": served,
        "histogram": drawn,
        "shared": request.app.state.threshold.shared,
        "words": threshold_words(served.bundle.detector.threshold, locale),
    }
    return page(request, "threshold.html", locale, shown)


def _data(request: Request, served: Served, end: float) -> dict[str, object]:
    """What the script begins with; `end` is the score at the drawing's right edge."""
    desk: Desk = request.app.state.threshold
    told = view(served).threshold
    return {
        "bundle": served.bundle.hash,
        "name": served.name,
        "version": served.version,
        "value": told.value,
        "calibrated": told.calibrated,
        "override": None if told.override is None else told.override.model_dump(mode="json"),
        "shared": desk.shared,
        "end": end,
    }
