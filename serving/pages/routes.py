"""GET / and the static files beside it.

Every address on the page is relative, so the service can live below a path of a reverse proxy.
"""

from collections.abc import Mapping
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from serving import security
from serving.detectors import Detectors
from serving.pages.histogram import draw_histogram
from serving.pages.locale import LOCALES, Locale, choose
from serving.pages.view import fields, lineage, page_data, threshold_words

SERVING = Path(__file__).parent.parent
LANGUAGE_COOKIE = "kizashi_lang"
ONE_YEAR = 365 * 86_400
RETRY_AFTER = "2"

HEADERS = {**security.PAGES, "Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}

templates = Jinja2Templates(directory=SERVING / "templates")
templates.env.trim_blocks = True
templates.env.lstrip_blocks = True


class RevalidatedFiles(StaticFiles):
    """Static files that a browser asks about each time: after an upgrade no old script remains."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


router = APIRouter(include_in_schema=False)
router.mount("/static", RevalidatedFiles(directory=SERVING / "static"), name="static")


@router.get("/", response_class=HTMLResponse)
def home(request: Request) -> Response:
    """The first page; 503 with a page that waits when there is no model yet."""
    locale = asked_locale(request)
    detectors: Detectors = request.app.state.detectors
    served = detectors.current
    data: dict[str, object] = {"data": page_data(locale, served)}
    if served is None:
        waiting: dict[str, object] = {"problem": detectors.why_none()}
        response = page(request, "waiting.html", locale, data | waiting, 503)
        response.headers["Retry-After"] = RETRY_AFTER
    else:
        detector = served.detector
        shown = {
            "served": served,
            "lineage": lineage(served),
            "fields": fields(served),
            "contract": detector.contract,
            "threshold": threshold_words(detector.threshold, locale),
            "histogram": draw_histogram(detector.calibration.scores, detector.threshold.value),
        }
        response = page(request, "home.html", locale, data | shown, 200)
    remember(response, request, locale)
    return response


def asked_locale(request: Request) -> Locale:
    """The language of the answer."""
    remembered = request.cookies.get(LANGUAGE_COOKIE)
    accepted = request.headers.get("Accept-Language", "")
    return choose(request.query_params.get("lang"), remembered, accepted)


def page(
    request: Request, name: str, locale: Locale, context: Mapping[str, object], status: int
) -> Response:
    """A page of the template `name`, with what every page has."""
    common = {
        "t": locale,
        "language": locale.language,
        "languages": LOCALES,
        "signed_in": getattr(request.state, "signed_in", False),
    }
    return templates.TemplateResponse(
        request, name, {**common, **context}, status_code=status, headers=HEADERS
    )


def remember(response: Response, request: Request, locale: Locale) -> None:
    """Keep a language that was chosen by the switch."""
    if request.query_params.get("lang") == locale.language:
        response.set_cookie(
            LANGUAGE_COOKIE,
            locale.language,
            max_age=ONE_YEAR,
            path=request.scope.get("root_path") or "/",
            httponly=True,
            samesite="lax",
        )
