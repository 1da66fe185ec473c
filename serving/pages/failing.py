"""What a person sees who opened an address in a browser: no page there, or one that broke."""

from fastapi import Request, Response

from serving.access import path_within
from serving.errors import Failure
from serving.pages.frame import asked_locale, page

NOTHING, BROKEN = 404, 500


def failed_page(request: Request, failed: Failure) -> Response | None:
    """A page that says so and leads on; None for what no link leads to."""
    if failed.status not in (NOTHING, BROKEN):
        return None
    path = path_within(request.scope)
    shown = {
        "root": "../" * (path.count("/") - 1),
        "what": "nothing" if failed.status == NOTHING else "broken",
        "path": path,
        "request_id": failed.request_id,
    }
    response = page(request, "failed.html", asked_locale(request), shown, failed.status)
    response.headers.update(failed.headers)
    return response
