"""The pages that operators see: HTML made from `templates/`, `static/` and `locales/`."""

from serving.pages.routes import router

__all__ = ["router"]
