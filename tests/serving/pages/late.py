"""An answer that comes late."""

from playwright.sync_api import APIResponse, Page, Route


class Late:
    """The first answer to what a page asks of `address` from now on; it is made at once, and comes
    when it is let go."""

    def __init__(self, page: Page, address: str) -> None:
        self._page = page
        self._address = address
        self._held: tuple[Route, APIResponse] | None = None
        page.route(address, self._answer, times=1)

    def _answer(self, route: Route) -> None:
        self._held = route, route.fetch()

    def wait(self) -> None:
        """Until it is made."""
        while self._held is None:
            self._page.wait_for_timeout(50)

    def let_go(self) -> None:
        """The page has read it afterwards."""
        assert self._held is not None
        route, answer = self._held
        with self._page.expect_response(self._address):
            route.fulfill(response=answer)
        self._page.evaluate("new Promise((done) => setTimeout(done, 100))")
