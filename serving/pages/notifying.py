"""GET /notifications: the channels, how they fare, and a test of them."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from serving.pages.frame import asked_locale, page, script_data

router = APIRouter(include_in_schema=False)


@router.get("/notifications", response_class=HTMLResponse)
def notifications_page(request: Request) -> Response:
    """A frame that a script fills from the API."""
    locale = asked_locale(request)
    shown = {
        "place": "notifications",
        "data": script_data(request, locale),
        "kept": request.app.state.history is not None,
        "configured": request.app.state.attendant is not None,
    }
    return page(request, "notifications.html", locale, shown)
