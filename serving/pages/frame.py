"""What every page has: its language, its frame, its headers.

Every address on a page is relative, so the service can live below a path of a reverse proxy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates

from serving.history.asked import ANONYMOUS
from serving.http import security
from serving.keys.key import RANK
from serving.pages.locale import LOCALES, Locale, choose
from serving.pages.numbers import short

SERVING = Path(__file__).parent.parent
LANGUAGE_COOKIE = "kizashi_lang"
ONE_YEAR = 365 * 86_400

HEADERS = {**security.PAGES, "Cache-Control": "no-store", "Vary": "Accept-Language, Cookie"}

PLACES = {
    "overview": "",
    "alarms": "alarms",
    "notifications": "notifications",
    "threshold": "threshold",
    "models": "models",
    "try": "try",
}
"""The navigation: the name of each page and its address below the root, in their order."""

templates = Jinja2Templates(directory=SERVING / "templates")
templates.env.trim_blocks = True
templates.env.lstrip_blocks = True


def asked_locale(request: Request) -> Locale:
    """The language of the answer."""
    remembered = request.cookies.get(LANGUAGE_COOKIE)
    accepted = request.headers.get("Accept-Language", "")
    return choose(request.query_params.get("lang"), remembered, accepted)


def page(
    request: Request, name: str, locale: Locale, context: Mapping[str, object], status: int = 200
) -> Response:
    """A page of the template `name`, with what every page has.

    `place` in the context is the page's name in PLACES; `root` the way up to the first page.
    """
    common = {
        "t": locale,
        "language": locale.language,
        "languages": {one: _in_language(request, one) for one in LOCALES},
        "language_names": {one: locale("language.name") for one, locale in LOCALES.items()},
        "places": PLACES,
        "place": "",
        "root": "",
        "by_hand": _by_hand(request, locale),
        "threshold_may_change": request.app.state.detectors.current is not None,
        "signed_in": getattr(request.state, "signed_in", False),
    }
    response = templates.TemplateResponse(
        request, name, {**common, **context}, status_code=status, headers=HEADERS
    )
    _remember(response, request, locale)
    return response


def script_data(request: Request, locale: Locale, root: str = "", **more: Any) -> dict[str, Any]:
    """What the scripts of every page need, as JSON in the page."""
    return {
        "language": locale.language,
        "texts": locale.under("js"),
        "root": root,
        "may_operate": may_operate(request),
        "history": request.app.state.history is not None,
        "notifies": request.app.state.attendant is not None,
        **more,
    }


def _by_hand(request: Request, locale: Locale) -> dict[str, str] | None:
    """What every page says of a threshold that was set by hand; None where none was."""
    served = request.app.state.detectors.current
    if served is None or served.change is None:
        return None
    who = served.change.who
    return {
        "value": short(served.detector.threshold.value),
        "calibrated": short(served.calibrated),
        "who": locale("who.anonymous") if who == ANONYMOUS else who,
    }


def may_operate(request: Request) -> bool:
    """Whether who looks at the page may act on alarms: all may in a service without keys."""
    key = getattr(request.state, "key", None)
    return key is None or key.rank >= RANK["operate"]


def _in_language(request: Request, language: str) -> str:
    """The query that shows this page, with all else that was asked for, in another language."""
    asked = [pair for pair in parse_qsl(request.url.query) if pair[0] != "lang"]
    return "?" + urlencode([*asked, ("lang", language)])


def _remember(response: Response, request: Request, locale: Locale) -> None:
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
