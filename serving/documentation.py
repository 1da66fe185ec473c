"""The interactive documentation of the API: FastAPI's pages, which load nothing from elsewhere.

Their addresses are relative, like those of all pages, so that they work below a path of a proxy.
"""

from fastapi import APIRouter
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse

TITLE = "Kizashi"
FILES = "static-offline-docs"
OPENAPI = "openapi.json"

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def swagger_ui() -> HTMLResponse:
    """Every request, to read and to try."""
    return get_swagger_ui_html(
        openapi_url=OPENAPI,
        title=f"{TITLE} - Swagger UI",
        swagger_js_url=f"{FILES}/swagger-ui-bundle.js",
        swagger_css_url=f"{FILES}/swagger-ui.css",
        swagger_favicon_url=f"{FILES}/favicon.png",
    )


@router.get("/redoc")
def redoc() -> HTMLResponse:
    """Every request, to read."""
    return get_redoc_html(
        openapi_url=OPENAPI,
        title=f"{TITLE} - ReDoc",
        redoc_js_url=f"{FILES}/redoc.standalone.js",
        redoc_favicon_url=f"{FILES}/favicon.png",
        with_google_fonts=False,
    )
