"""Signing in and out, for browsers: the key is posted once and then kept in a cookie.

The cookie is the key itself. So it is checked as every key is, at the same speed; what revokes,
expires or limits the key does so for the cookie; and the file of keys needs to hold no secret of
its own with which sessions could be forged. Scripts cannot read it (HttpOnly), other sites cannot
make a browser send it (SameSite=Strict), and over HTTPS it never travels in the open (Secure).
"""

import re
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from serving.access import (
    SIGN_IN,
    SIGN_OUT,
    Headers,
    check_same_site,
    checked,
    cookie_name,
    path_within,
    sent_key,
)
from serving.errors import Forbidden, MalformedBody, Unauthenticated
from serving.http.requests import read_body
from serving.keys.held import HeldKeys
from serving.pages.frame import asked_locale, page

THIRTY_DAYS = 30 * 86_400
FORM_BYTES = 16 * 1024
MOST_FIELDS = 10
ON_THIS_SERVICE = re.compile(r"/[A-Za-z0-9._~/%?=&+:@!$,;*-]*")

router = APIRouter(include_in_schema=False)


def ask(scope: Scope, error: Unauthenticated | Forbidden) -> Response:
    """The sign-in page in the place of the page that was asked for, saying why.

    Who follows a link from another site comes without the cookie, which is SameSite=Strict. So the
    page leads on to itself: asked for from here, the cookie is there, if there is one.
    """
    here = quote(path_within(scope)) or "/"
    query = scope["query_string"].decode("latin-1")
    wrong = "wrong" if isinstance(error, Unauthenticated) and error.wrong else ""
    status = 403 if isinstance(error, Forbidden) else 401
    response = _sign_in_page(
        Request(scope),
        after=f"{here}?{query}" if query else here,
        said="forbidden" if status == 403 else wrong,
        again=_from_elsewhere(dict(scope["headers"])),
        status=status,
    )
    response.headers.update(error.headers())
    return response


@router.get(SIGN_IN)
def sign_in_page(request: Request) -> Response:
    """The page by itself; who is signed in already goes on."""
    keys: HeldKeys = request.app.state.keys
    after = request.query_params.get("after", "/")
    sent, _ = sent_key(dict(request.scope["headers"]))
    try:
        if keys.required:
            checked(keys, sent)
    except Unauthenticated:
        return _sign_in_page(request, after=after)
    return RedirectResponse(_below(after), 303, {"Cache-Control": "no-store"})


@router.post(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """Keep a key that holds in the cookie, and go on to what was asked for."""
    check_same_site("POST", dict(request.scope["headers"]))
    body = await read_body(request.scope, request.receive, FORM_BYTES)
    form = _form(body)
    after, sent = form.get("after", ["/"])[0], form.get("key", [""])[0].strip()
    keys: HeldKeys = request.app.state.keys
    if not keys.required:
        return RedirectResponse("./", 303)
    try:
        checked(keys, sent.encode())
    except Unauthenticated:
        return _sign_in_page(request, after=after, said="wrong", status=401)
    response = RedirectResponse(_below(after), 303, {"Cache-Control": "no-store"})
    response.set_cookie(
        _cookie(request),
        sent,
        max_age=THIRTY_DAYS if "keep" in form else None,
        path=_root(request),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@router.post(SIGN_OUT)
def sign_out(request: Request) -> Response:
    """Forget the key."""
    check_same_site("POST", dict(request.scope["headers"]))
    response = RedirectResponse("./", 303, {"Cache-Control": "no-store"})
    response.delete_cookie(_cookie(request), path=_root(request), httponly=True, samesite="strict")
    return response


def _form(body: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(body.decode("latin-1"), max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise MalformedBody(f"the form has more than {MOST_FIELDS} fields") from error


def _sign_in_page(
    request: Request, *, after: str = "/", said: str = "", again: bool = False, status: int = 200
) -> Response:
    locale = asked_locale(request)
    above = "../" * (path_within(request.scope).count("/") - 1)
    # Whoever has no key reads nothing of what was set here, and by whom.
    context = {"root": above, "after": after, "said": said, "again": again, "by_hand": None}
    return page(request, "sign_in.html", locale, context, status)


def _from_elsewhere(headers: Headers) -> bool:
    site = headers.get(b"sec-fetch-site")
    if site is None:  # over plain HTTP browsers only say where the link was
        came_from = urlsplit(headers.get(b"referer", b"").decode("latin-1")).netloc
        return came_from not in ("", headers.get(b"host", b"").decode("latin-1"))
    return site not in (b"same-origin", b"none")


def _below(after: str) -> str:
    """Where to go on to, relative to this page: no other site, whatever the form said."""
    return "./" + after.lstrip("/") if ON_THIS_SERVICE.fullmatch(after) else "./"


def _cookie(request: Request) -> str:
    return cookie_name(request.headers.get("host", "").encode("latin-1")).decode("latin-1")


def _root(request: Request) -> str:
    return request.scope.get("root_path") or "/"
