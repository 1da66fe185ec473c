import re
from pathlib import Path

import pytest

from kizashi.errors import ConfigurationError
from serving.settings import Settings, read_settings, unknown, variable

DOCS = Path(__file__).parents[2] / "docs"
ORIGINS = "none, or origins like https://board.example:3000, with commas between"
VARIABLES = [variable(name) for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def _no_settings_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_without_variables_the_defaults_hold() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.model_uri == "models:/kizashi"
    assert settings.tracking_uri == "sqlite:///mlflow.db"
    assert settings.bundle_folder is None


def test_the_keys_are_in_the_cache_unless_they_are_elsewhere(tmp_path: Path) -> None:
    assert Settings(cache=tmp_path).keys_file == tmp_path / "keys.json"
    assert Settings(cache=tmp_path, keys_file=Path("mine.json")).keys_file == Path("mine.json")


def test_origins_are_written_as_browsers_send_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZASHI_CORS_ORIGINS", "https://Board.example:3000, http://[::1]/")
    assert read_settings().origins == ["https://board.example:3000", "http://[::1]"]
    assert Settings(cors_origins="none").origins == []


def test_an_empty_variable_is_as_if_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZASHI_PORT", "")
    assert read_settings().port == 8000


def test_the_address_of_a_service_in_kubernetes_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZASHI_PORT", "tcp://10.96.0.7:80")
    assert read_settings().port == 8000


def test_what_looks_like_a_setting_and_is_none_is_known() -> None:
    of_kubernetes = ["KIZASHI_SERVICE_HOST", "KIZASHI_PORT_8000_TCP_ADDR", "KIZASHI_DB_PORT"]
    names = ["PATH", "KIZASHI_PROT", "KIZASHI_CACHE", "MLFLOW_TRACKING_URI", *of_kubernetes]
    assert unknown(names) == ["KIZASHI_PROT"]


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("KIZASHI_PORT", "http", "a whole number from 1 to 65535"),
        ("KIZASHI_PORT", "0", "a whole number from 1 to 65535"),
        ("KIZASHI_PORT", "65536", "a whole number from 1 to 65535"),
        ("KIZASHI_WORKERS", "0", "a whole number from 1 to 256"),
        ("KIZASHI_POLL_SECONDS", "soon", "a number of seconds from 0.1 to 3600"),
        ("KIZASHI_POLL_SECONDS", "nan", "a number of seconds from 0.1 to 3600"),
        ("KIZASHI_MAX_BODY_BYTES", "1", "a whole number of bytes from 1024"),
        ("KIZASHI_ALLOW_ANONYMOUS", "perhaps", "true or false"),
        ("KIZASHI_RATE_LIMIT", "-1", "a whole number of requests a minute, or 0 for any"),
        ("KIZASHI_CORS_ORIGINS", "board.example", ORIGINS),
        ("KIZASHI_CORS_ORIGINS", "https://board.example/a", ORIGINS),
        ("KIZASHI_MODEL_URI", "s3://bucket/model", "models:/NAME, .* or a bundle folder"),
        ("KIZASHI_MODEL_URI", "models:/", "models:/NAME, .* or a bundle folder"),
        ("KIZASHI_MODEL_URI", "runs:/abc", "models:/NAME, .* or a bundle folder"),
    ],
)
def test_a_wrong_value_ends_with_one_sentence_naming_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, wanted: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name} is '{value}'; {wanted} is needed$"):
        read_settings()


def test_every_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIZASHI_PORT", "x")
    monkeypatch.setenv("KIZASHI_WORKERS", "y")
    with pytest.raises(ConfigurationError, match=r"KIZASHI_PORT is 'x'.*; KIZASHI_WORKERS is 'y'"):
        read_settings()


def test_mlflows_own_variable_names_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example:5000")
    assert read_settings().tracking_uri == "http://mlflow.example:5000"


def test_what_is_followed_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = {
        Settings().key,
        Settings(tracking_uri="http://mlflow.example:5000").key,
        Settings(model_uri="models:/kizashi@candidate").key,
        Settings(model_uri=str(tmp_path)).key,
    }
    assert len(keys) == 4
    registry_elsewhere = Settings(model_uri=str(tmp_path), tracking_uri="http://mlflow.example")
    assert registry_elsewhere.key == Settings(model_uri=str(tmp_path)).key


@pytest.mark.parametrize("model_uri", ["models:/kizashi", "press-line"])
def test_two_checkouts_that_share_a_cache_have_keys_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_uri: str
) -> None:
    keys = set()
    for checkout in ("one", "two"):
        (tmp_path / checkout).mkdir()
        monkeypatch.chdir(tmp_path / checkout)
        keys.add(Settings(model_uri=model_uri).key)
    assert len(keys) == 2


def test_one_store_has_one_key_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    relative, absolute = "sqlite:///mlflow.db", f"sqlite:///{tmp_path}/mlflow.db"
    assert Settings(tracking_uri=relative).key == Settings(tracking_uri=absolute).key


@pytest.mark.parametrize("page", ["settings.md", "ja/settings.md"])
def test_every_setting_has_a_heading_and_its_default_in_the_documentation(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == VARIABLES
    for name, value in Settings():
        default = str(value).lower() if isinstance(value, bool) else str(value)
        assert value is None or f"`{default}`" in sections[variable(name)]
