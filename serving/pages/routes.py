"""All pages, and the static files beside them."""

from fastapi import APIRouter, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from serving.pages import alarms, deciding, models, notifying, trying, watching
from serving.pages.frame import SERVING

REVALIDATED = {"Cache-Control": "no-cache"}


class RevalidatedFiles(StaticFiles):
    """Static files that a browser asks about each time: after an upgrade no old script remains."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(REVALIDATED)
        return response


router = APIRouter(include_in_schema=False)
router.include_router(watching.router)
router.include_router(alarms.router)
router.include_router(notifying.router)
router.include_router(deciding.router)
router.include_router(models.router)
router.include_router(trying.router)


# The charts' library, out of its Python package: nothing of it is copied here, or imported.
plotly = RevalidatedFiles(packages=[("plotly", "package_data")])
router.mount("/static/plotly", plotly, name="plotly")
router.mount("/static", RevalidatedFiles(directory=SERVING / "static"), name="static")
