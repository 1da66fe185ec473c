"""Every setting of the service, read from environment variables; docs/settings.md explains each."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from kizashi.errors import ConfigurationError
from serving import kubernetes
from serving.logs import LogFormat

PREFIX = "KIZASHI_"
PORT = 8000
OF_OTHERS = {"KIZASHI_API_KEY", "KIZASHI_DEMO_URL"}
"""What `make demo` and clients read."""
REGISTRY_SCHEMES = ("models:/", "runs:/")
ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?|\*")
REGISTRY_URI = re.compile(r"models:/[^/@]+(@[^/@]+|/[^/@]+)?|runs:/[^/]+/.+")
NO_ORIGINS = "none"
SQLITE = "sqlite:///"


def _port(value: object) -> object:
    """The default in the place of an address that Kubernetes has put there."""
    return PORT if kubernetes.is_address(value) else value


def _model_uri(uri: str) -> str:
    """Refuse an address that names neither a registered model, a run nor a folder."""
    scheme = uri.startswith(REGISTRY_SCHEMES)
    if ("://" in uri and not scheme) or (scheme and not REGISTRY_URI.fullmatch(uri)):
        raise ValueError(uri)
    return uri


def _origins(listed: str) -> str:
    """Refuse what is no list of origins; browsers send them in lower case and without a path."""
    origins = [one.strip().lower().rstrip("/") for one in listed.split(",")]
    if listed != NO_ORIGINS and not all(map(ORIGIN.fullmatch, origins)):
        raise ValueError(listed)
    return ",".join(origins)


def _absolute(tracking_uri: str) -> str:
    """The same address for the same SQLite file, and another in another working folder."""
    file = tracking_uri.removeprefix(SQLITE)
    return tracking_uri if file == tracking_uri else f"{SQLITE}{Path(file).resolve()}"


class Settings(BaseSettings):
    """One field a setting; its description says what a value must be, for errors and for people."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, populate_by_name=True
    )

    host: Annotated[str, Field(min_length=1, description="an address of this machine")] = (
        "127.0.0.1"
    )
    port: Annotated[
        int,
        BeforeValidator(_port),
        Field(ge=1, le=65535, description="a whole number from 1 to 65535"),
    ] = PORT
    workers: Annotated[int, Field(ge=1, le=256, description="a whole number from 1 to 256")] = 1
    model_uri: Annotated[
        str,
        AfterValidator(_model_uri),
        Field(
            min_length=1,
            description="models:/NAME, models:/NAME@ALIAS, models:/NAME/STAGE, "
            "models:/NAME/VERSION, runs:/RUN_ID/PATH or a bundle folder",
        ),
    ] = "models:/kizashi"
    cache: Annotated[Path, Field(description="a folder")] = Path(".kizashi")
    poll_seconds: Annotated[
        float, Field(ge=0.1, le=3600, description="a number of seconds from 0.1 to 3600")
    ] = 2.0
    max_body_bytes: Annotated[
        int, Field(ge=1024, description="a whole number of bytes from 1024")
    ] = 16 * 1024 * 1024
    max_stream_bytes: Annotated[
        int, Field(ge=1024, description="a whole number of bytes from 1024")
    ] = 4 * 1024**3
    keys_file: Path = Field(
        default_factory=lambda values: values["cache"] / "keys.json", description="a file of keys"
    )
    allow_anonymous: Annotated[bool, Field(description="true or false")] = False
    rate_limit: Annotated[
        int,
        Field(ge=0, le=10_000_000, description="a whole number of requests a minute, or 0 for any"),
    ] = 0
    cors_origins: Annotated[
        str,
        AfterValidator(_origins),
        Field(description="none, or origins like https://board.example:3000, with commas between"),
    ] = "none"
    body_timeout_seconds: Annotated[
        float, Field(ge=0.1, le=3600, description="a number of seconds from 0.1 to 3600")
    ] = 30.0
    max_concurrent: Annotated[
        int, Field(ge=1, le=100_000, description="a whole number from 1 to 100000")
    ] = 1000
    log_format: Annotated[LogFormat, Field(description="auto, json or text")] = "auto"
    access_log: Annotated[bool, Field(description="true or false")] = False
    metrics_sources: Annotated[
        int, Field(ge=0, le=10_000, description="a whole number from 0 to 10000")
    ] = 100
    metrics_folder: Annotated[Path | None, Field(description="a folder")] = None
    anomaly_detector_model_id: Annotated[
        str | None, Field(min_length=1, description="the id of a model at Azure Anomaly Detector")
    ] = None
    database_url: Annotated[
        str,
        Field(
            min_length=1,
            description="sqlite, none, sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE",
        ),
    ] = "sqlite"
    record: Annotated[Literal["anomalies", "full"], Field(description="anomalies or full")] = (
        "anomalies"
    )
    alarm_rules: Annotated[Path | None, Field(description="a YAML or JSON file of rules")] = None
    notify_config: Annotated[Path | None, Field(description="an Apprise configuration file")] = None
    notify_language: Annotated[Literal["en", "ja"], Field(description="en or ja")] = "en"
    notify_per_minute: Annotated[
        int, Field(ge=1, le=10_000, description="a whole number from 1 to 10000")
    ] = 20
    notify_hours: Annotated[
        float, Field(gt=0, le=8760, description="a number of hours from above 0 to 8760")
    ] = 24.0
    notify_dry_run: Annotated[bool, Field(description="true or false")] = False
    public_url: Annotated[
        str | None,
        Field(pattern=r"https?://\S+", description="the address that people reach the pages at"),
    ] = None
    keep_rows_days: Annotated[
        float, Field(ge=0, le=36_500, description="a number of days from 0 to 36500")
    ] = 14.0
    keep_trends_days: Annotated[
        float, Field(ge=0, le=36_500, description="a number of days from 0 to 36500")
    ] = 800.0
    keep_gigabytes: Annotated[
        float, Field(ge=0, le=1_000_000, description="a number of gigabytes from 0 to 1000000")
    ] = 10.0
    tracking_uri: Annotated[
        str,
        Field(
            min_length=1,
            validation_alias="MLFLOW_TRACKING_URI",
            description="the address of an MLflow tracking server or store",
        ),
    ] = "sqlite:///mlflow.db"

    @property
    def bundle_folder(self) -> Path | None:
        """The folder to serve from, None when the model comes from a registry."""
        return None if self.model_uri.startswith(REGISTRY_SCHEMES) else Path(self.model_uri)

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may ask from a browser."""
        return [] if self.cors_origins == NO_ORIGINS else self.cors_origins.split(",")

    @property
    def key(self) -> str:
        """Names what is followed: services that share a cache keep apart what they serve."""
        folder = self.bundle_folder
        if folder is None:
            followed = f"{_absolute(self.tracking_uri)}\n{self.model_uri}"
        else:
            followed = str(folder.resolve())
        return hashlib.sha256(followed.encode()).hexdigest()[:12]


def read_settings() -> Settings:
    """The settings of this process; raises ConfigurationError naming each wrong variable."""
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            _sentence(str(one["loc"][0]), one["input"])
            for one in error.errors()
            if one["type"] != "default_factory_not_called"  # only because another value is wrong
        ]
        raise ConfigurationError("; ".join(problems)) from error


def unknown(names: Iterable[str]) -> list[str]:
    """Those environment variables that look like settings and are none: mistyped ones."""
    known = OF_OTHERS | {variable(field) for field in Settings.model_fields}
    return sorted(
        name
        for name in names
        if name.startswith(PREFIX) and name not in known and not kubernetes.of_a_service(name)
    )


def _sentence(place: str, value: object) -> str:
    name = place.removeprefix(PREFIX).removeprefix(PREFIX.lower()).lower()
    field = Settings.model_fields.get(name) or Settings.model_fields["tracking_uri"]
    return f"{variable(name)} is {value!r}; {field.description} is needed"


def variable(name: str) -> str:
    """The environment variable of the field `name`."""
    return "MLFLOW_TRACKING_URI" if name.endswith("tracking_uri") else PREFIX + name.upper()
