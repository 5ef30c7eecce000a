"""Settings: the only reader of the environment, of ``.env`` and of ``dataset.yaml``.

Here: every variable with its type, default and meaning (``.env.example`` lists them), and the folders of a home.
Not here: what is done with them; what may stand in ``dataset.yaml`` (``dataset_config``).
"""

import difflib
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from skin_platform.dataset_config import DatasetConfig, SettingsError, faults, read_dataset_config
from skin_platform.environments import demo_fault, is_weak, prod_fault

WEAK_KEY = ("SKIN_PSEUDONYM_KEY is a well-known or short one: whoever tries ids with it learns whose images these are. Set one "
            "of your own before real deliveries come, since another key breaks the link to older rows")
NO_KEY = "SKIN_PSEUDONYM_KEY is empty: set a key, or leave the variable out (then the well-known default holds)"


class Settings(BaseSettings):
    """Everything the environment decides. Names are those of the variables, in lower case."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", env_ignore_empty=True, hide_input_in_errors=True)

    skin_env: Literal["demo", "dev", "prod"] = Field("dev", description="demo, dev or prod")
    skin_home: Path = Field(Path("data"), description="The folder in which everything is kept")
    skin_dataset_config: Path | None = Field(None, description="The dataset.yaml to go by; empty: the one in SKIN_HOME")
    skin_pseudonym_key: SecretStr = Field(SecretStr("not-a-secret"), description="Key of the patients' pseudonyms")
    skin_landing_bucket: str | None = Field(None, description="Bucket that deliveries land in besides the folder; empty: none")
    skin_landing_prefix: str = Field("", description="Prefix below which they land there; empty: the whole bucket")
    skin_settle_seconds: float = Field(5.0, ge=0, description="Leave a file alone until it was untouched this long")
    skin_max_batch_files: int = Field(2000, ge=1, description="Files in one batch at most")
    skin_max_image_bytes: int = Field(50_000_000, ge=1, description="Refuse larger files")
    skin_max_image_pixels: int = Field(50_000_000, ge=1, description="Refuse images of more pixels")
    skin_min_image_side_px: int = Field(16, ge=1, description="Refuse images with a shorter side")
    skin_cache_bytes: int = Field(20_000_000_000, ge=0, description="Images kept on this machine, in bytes at most")

    s3_endpoint: str | None = Field(None, description="URL of an S3 endpoint; empty: a local folder under SKIN_HOME")
    s3_region: str = Field("us-east-1", description="Region of the S3 endpoint")
    s3_access_key: str = Field("minioadmin", description="Access key of the S3 endpoint")
    s3_secret_key: SecretStr = Field(SecretStr("minioadmin"), description="Secret key of the S3 endpoint")
    s3_bucket_models: str = Field("skin-models", description="Bucket of checkpoints")
    s3_bucket_images: str = Field("skin-images", description="Bucket of images")
    s3_bucket_data: str = Field("skin-data", description="Bucket of manifests and reports")

    mlflow_tracking_uri: str | None = Field(None, description="MLflow; empty: SQLite under SKIN_HOME")
    skin_bundle: Path | None = Field(None, description="Bundle folder to serve; empty: the one inside the bento")
    skin_engine: Literal["onnxruntime", "openvino"] = Field("onnxruntime", description="What computes: onnxruntime or openvino")
    skin_precision: Literal["f32", "bf16", "f16"] = Field("f32", description="In which precision; f32 answers as evaluated")
    skin_follow_champion: bool = Field(True, description="A running service takes up the new champion; false: it never does")
    skin_shadow_rate: float = Field(0.1, ge=0, le=1, description="Share of images that the challenger answers, too; 0: none")
    skin_keep_images: bool = Field(False, description="Keep the images that were asked about (cleaned), for `skin replay`")
    database_url: str | None = Field(None, description="Online store (SQLAlchemy URL); empty: SQLite under SKIN_HOME")

    api_host: str = Field("127.0.0.1", description="Address that the API binds to")
    api_port: Annotated[int, Field(ge=1, le=65535)] = Field(8000, description="Port of the API")
    api_base_url: str = Field("http://127.0.0.1:8000", description="Where clients find the API")
    api_key: SecretStr = Field(SecretStr(""), description="Bearer key of protected routes")
    skin_rate_per_minute: int = Field(0, ge=0, description="Images a minute for a key without a rate of its own; 0: no limit")
    skin_spool_bytes: int = Field(1_000_000_000, ge=1_000_000, description="What waits for the online store, in bytes at most")
    webapp_port: Annotated[int, Field(ge=1, le=65535)] = Field(8501, description="Port of the web app")
    streamlit_password: SecretStr = Field(SecretStr("admin123"), description="Password of the web app")
    discord_webhook_url: SecretStr | None = Field(None, description="Where notifications go; empty: the log only")

    performance_threshold: float = Field(0.8, ge=0, le=1, description="Accuracy under which a model is not good enough")
    check_interval_seconds: int = Field(30, ge=1, description="Seconds between two looks of a sensor")
    task_retries: int = Field(2, ge=0, description="Retries of what a retry can clear")
    retry_delay_seconds: float = Field(1.0, ge=0, description="Seconds before a retry")

    @model_validator(mode="after")
    def _suit_the_environment(self) -> "Settings":
        fault = None
        if self.skin_env == "prod":
            secrets = {"SKIN_PSEUDONYM_KEY": self.skin_pseudonym_key, "API_KEY": self.api_key,
                       "STREAMLIT_PASSWORD": self.streamlit_password,
                       **({"S3_SECRET_KEY": self.s3_secret_key} if self.s3_endpoint else {})}
            fault = prod_fault({name: secret.get_secret_value() for name, secret in secrets.items()}, self.database_url)
        elif self.skin_env == "demo":
            fault = demo_fault({"API_KEY": bool(self.api_key.get_secret_value()), "DATABASE_URL": self.database_url is not None,
                                "SKIN_KEEP_IMAGES": self.skin_keep_images})
        if fault:
            raise ValueError(fault)
        return self

    @property
    def has_weak_pseudonym_key(self) -> bool:
        """Whether real patients' pseudonyms could be undone by trying keys: a well-known or short one, outside a demo."""
        return self.skin_env != "demo" and is_weak(self.skin_pseudonym_key.get_secret_value())

    @cached_property
    def home(self) -> "Home":
        """Where things are kept, as absolute paths."""
        return Home(self.skin_home.expanduser().resolve())

    @property
    def mlflow_uri(self) -> str:
        """The MLflow tracking URI in force."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.home.mlflow / 'mlflow.db'}"

    @property
    def online_url(self) -> str:
        """The SQLAlchemy URL of the online store in force."""
        return self.database_url or f"sqlite:///{self.home.root / 'online.db'}"

    @cached_property
    def dataset(self) -> DatasetConfig:
        """The words of this deployment, from ``dataset.yaml``."""
        return read_dataset_config(self.dataset_config_path, self._value_of)

    @property
    def dataset_config_path(self) -> Path:
        """The ``dataset.yaml`` in force."""
        return self.skin_dataset_config or self.home.dataset_config

    def _value_of(self, name: str) -> str:
        """What ``${name}`` in ``dataset.yaml`` stands for; raises ``LookupError`` with the rest of the sentence."""
        known = name.lower() in Settings.model_fields
        found = self.home.root if name == "SKIN_HOME" else getattr(self, name.lower()) if known else os.environ.get(name)
        if isinstance(found, SecretStr):
            raise LookupError("which is a secret: secrets do not belong in this file")
        if found is None:
            raise LookupError(f"which is not set: set {name} in .env or the environment")
        return str(found)


class Home:
    """The folders of one ``SKIN_HOME``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.landing = root / "raw"
        self.dataset_config = root / "dataset.yaml"
        self.objects = root / "objects"
        self.cache = root / "cache" / "images"
        self.catalogue = root / "cache" / "catalogue"
        self.pixels = root / "cache" / "pixels"
        self.training = root / "training"
        self.ledger = root / "landing.db"
        self.dagster = root / "dagster"
        self.mlflow = root / "mlflow"
        self.bentoml = root / "bentoml"
        self.export = root / "runs" / "skin5-current"
        self.challenger = root / "runs" / "skin5-challenger"
        self.served_images = root / "served" / "images"
        self.spool = root / "served" / "spool.db"
        self.keys = root / "served" / "keys.json"


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process; raises ``SettingsError`` that names each bad variable."""
    _check_env_file(Path(str(Settings.model_config.get("env_file"))))
    if os.environ.get("SKIN_PSEUDONYM_KEY", "a key").strip() == "":
        raise SettingsError(NO_KEY)
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(faults(error, str.upper)) from None


def env_file_values() -> dict[str, str]:
    """What ``.env`` of this folder sets and the environment does not, for a process that is started in another folder."""
    given = dotenv_values(str(Settings.model_config.get("env_file")))
    there = {name.upper() for name, value in os.environ.items() if value}
    return {name.upper(): value for name, value in given.items()
            if value and name.lower() in Settings.model_fields and name.upper() not in there}


def _check_env_file(path: Path) -> None:
    """Raise ``SettingsError`` where ``path`` sets a SKIN_ variable that there is not, or an empty key; others are not ours."""
    if not path.is_file():
        return
    given = dotenv_values(path)
    known = [name.upper() for name in Settings.model_fields]
    for name in given:
        if name.upper().startswith("SKIN_") and name.upper() not in known:
            meant = difflib.get_close_matches(name.upper(), known, 1, cutoff=0.0)[0]
            raise SettingsError(f"{path} sets {name}, and there is no such setting: is {meant} meant?")
    key = "SKIN_PSEUDONYM_KEY"
    if key in given and key not in os.environ and not (given[key] or "").strip():
        raise SettingsError(NO_KEY)
