"""Keys and signing in as somebody thought of to get past them."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from kizashi.runtime.bundle import Bundle
from serving.app import create_app
from serving.keys.file import KeyFile
from serving.keys.key import make_key
from serving.settings import Settings
from tests.serving.faults.asking import Asker, Sent, asking
from tests.serving.faults.requests_that_work import (
    DETECT,
    FORM,
    JSON,
)
from tests.serving.faults.written import HOW, MODEL, ask


@pytest.fixture(scope="module")
def keyed(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A service with keys, and the asker with one of them."""
    folder = tmp_path_factory.mktemp("keyed")
    record, key = make_key("press-01", ["score"])
    KeyFile(Path(folder / "keys.json")).add(record)
    values = {"model_uri": str(bundle.folder), "cache": folder, "database_url": "sqlite"}
    with asking(create_app(Settings.model_validate(values)), key) as ready:
        yield ready


@pytest.mark.parametrize(
    "sent",
    [
        *(
            b"",
            b" ",
            b"kz",
            b"kz__",
            b"kz_a_b",
            b"_" * 5000,
            b"x" * 100_000,
            b"\xff\xfe\0",
            b"kz_\xff_a",
        ),
        *(
            b"Bearer",
            b"Bearer ",
            b"Bearer kz_a_b",
            b"Basic a3o6",
            b"bearer\t\tx",
            b"Bearer " + b"_" * 99,
        ),
        *(
            b"kz_../../x_y",
            "kz_日本_x".encode(),
            b"kz_abcdefgh_" + b"A" * 43,
            b"null",
            b"kizashi_key=",
        ),
    ],
)
def test_what_is_no_key_opens_nothing(keyed: Asker, sent: bytes) -> None:
    for name in (b"x-api-key", b"authorization", b"ocp-apim-subscription-key", b"cookie"):
        value = b"kizashi_key_8000=" + sent if name == b"cookie" else sent
        for path in ("/anomaly", "/anomaly/batch", MODEL, "/invocations", DETECT, "/api/threshold"):
            got = keyed.check(
                Sent("POST", path, b"{}", [(b"content-type", JSON), (name, value)]), HOW
            )
            assert got.status == 401
            assert sent.strip() not in got.body or len(sent.strip()) < 8
        for path in ("/", "/model", "/metrics", "/docs", "/openapi.json"):
            assert keyed.check(Sent("GET", path, b"", [(name, value)]), HOW).status == 401


@pytest.mark.parametrize(
    "form",
    [
        *(b"", b"key", b"key=", b"=&=", b"key=%ff%fe", b"key=" + b"x" * 20_000, b"key=a&" * 50),
        *(b"key=\r\nSet-Cookie: a=b", b"key=%0d%0aSet-Cookie:%20a=b", b"\xff" * 100, b"{}", b"\0"),
        *(b"after=//elsewhere.example&key=x", b"after=https://elsewhere.example", b"after=%0d%0ax"),
    ],
)
def test_odd_forms_sign_nobody_in(keyed: Asker, form: bytes) -> None:
    got = ask(keyed, "/sign-in", form, FORM)
    assert got.status in (400, 401, 413)
    assert not got.all("set-cookie") and not got.all("location")


@pytest.mark.parametrize(
    "after",
    [
        *(
            "//elsewhere.example",
            "https://elsewhere.example",
            "/\\elsewhere.example",
            "\\\\x",
            "/a\r\nb",
        ),
        *(
            "javascript:alert(1)",
            "/%0d%0aSet-Cookie:a=b",
            "///x",
            "",
            "x" * 10_000,
            "/日本",
            "/a?b=c",
        ),
    ],
)
def test_who_signs_in_stays_on_this_service(keyed: Asker, after: str) -> None:
    assert keyed.key is not None
    form = b"key=%s&after=%s" % (keyed.key, quote(after).encode())
    got = ask(keyed, "/sign-in", form, FORM)
    assert got.status == 303
    assert got.all("location")[0].startswith("./")
    assert not got.all("location")[0].startswith(".//")
