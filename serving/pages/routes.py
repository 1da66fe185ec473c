"""GET / and the static files beside it.

Every address on the page is relative, so the service can live below a path of a reverse proxy.
"""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from serving.detectors import Detectors
from serving.pages.histogram import draw_histogram
from serving.pages.locale import LOCALES, Locale, choose
from serving.pages.view import fields, lineage, page_data, threshold_words

SERVING = Path(__file__).parent.parent
LANGUAGE_COOKIE = "kizashi_lang"
ONE_YEAR = 365 * 86_400
RETRY_AFTER = "2"

SECURITY_HEADERS = {
    # No inline script or style and nothing from elsewhere: a sensor name can never become code.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}

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
def home(request: Request, lang: str | None = None) -> Response:
    """The first page; 503 with a page that waits when there is no model yet."""
    locale = choose(
        lang, request.cookies.get(LANGUAGE_COOKIE), request.headers.get("Accept-Language", "")
    )
    detectors: Detectors = request.app.state.detectors
    served = detectors.current
    common = {"t": locale, "language": locale.language, "languages": LOCALES}
    if served is None:
        waiting = {"problem": detectors.why_none(), "data": page_data(locale, None)}
        response = _page(request, "waiting.html", common | waiting, 503)
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
            "data": page_data(locale, served),
        }
        response = _page(request, "home.html", common | shown, 200)
    _remember(response, request, locale, asked=lang)
    return response


def _page(request: Request, name: str, context: dict[str, object], status: int) -> Response:
    return templates.TemplateResponse(
        request, name, context, status_code=status, headers=SECURITY_HEADERS
    )


def _remember(response: Response, request: Request, locale: Locale, asked: str | None) -> None:
    """Keep a language that was chosen by the switch."""
    if asked == locale.language:
        response.set_cookie(
            LANGUAGE_COOKIE,
            locale.language,
            max_age=ONE_YEAR,
            path=request.scope.get("root_path") or "/",
            httponly=True,
            samesite="lax",
        )
