"""GET /try: score a row or a file by hand, and see what the model holds for normal."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from serving.following.detectors import Detectors
from serving.pages.frame import asked_locale, page, script_data
from serving.pages.histogram import draw_histogram
from serving.pages.locale import Locale
from serving.pages.view import fields, lineage, model_data, threshold_words

RETRY_AFTER = "2"

router = APIRouter(include_in_schema=False)


@router.get("/try", response_class=HTMLResponse)
def try_page(request: Request) -> Response:
    """503 with a page that waits when there is no model yet."""
    locale = asked_locale(request)
    detectors: Detectors = request.app.state.detectors
    served = detectors.current
    if served is None:
        return waiting(request, locale, "try")
    detector = served.detector
    shown = {
        "place": "try",
        "data": script_data(request, locale, model=model_data(served)),
        "served": served,
        "lineage": lineage(served),
        "fields": fields(served),
        "contract": detector.contract,
        "threshold": threshold_words(detector.threshold, locale),
        "histogram": draw_histogram(detector.calibration.scores, detector.threshold.value),
    }
    return page(request, "try.html", locale, shown)


def waiting(request: Request, locale: Locale, place: str) -> Response:
    """A page in the place of another, which opens that as soon as there is a model."""
    context = {
        "place": place,
        "data": script_data(request, locale, model=None),
        "problem": request.app.state.detectors.why_none(),
    }
    response = page(request, "waiting.html", locale, context, 503)
    response.headers["Retry-After"] = RETRY_AFTER
    return response
