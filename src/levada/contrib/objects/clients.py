"""From a scheme and a bucket to obstore's clients. Nothing else of the house imports obstore when it is loaded.

Credentials are obstore's affair: it reads the environment (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``), files of
service accounts and the metadata of machines. A setting of ours (``[s3] endpoint``) goes before its environment.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from levada._model import forks
from levada._model.values import NamedTuple
from levada.config import setting
from levada.errors import TargetError

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureStore, ClientConfig, GCSConfig, GCSStore, RetryConfig, S3Config, S3Store

    Client = S3Store | GCSStore | AzureStore

_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
_CONNECTING = timedelta(seconds=3)
_ASKING = timedelta(seconds=6)
"""Until a question is given up: with its repetitions an absent store is known to be so after some 15 seconds."""
_MOVING = timedelta(minutes=10)  # one request that carries data: a part, or an object of some size


class Clients(NamedTuple):
    """Two clients of one bucket: for questions, which are answered soon or not at all; and for bytes on their way."""

    asking: Client
    moving: Client


def clients(scheme: str, bucket: str) -> Clients:
    """Clients of a bucket. Raises TargetError: no obstore, no bucket's name, or settings that do not fit together."""
    place = f"{scheme}://{bucket}"
    if not bucket:
        raise TargetError(f"{place}: names no {'container' if scheme == 'az' else 'bucket'}", hint=f"It looks like {scheme}://NAME/path.")
    try:
        import obstore.exceptions
    except ImportError as cause:
        extra = _EXTRAS[scheme]
        raise TargetError(
            f'{place}: needs obstore, which is not installed (pip install "levada[{extra}]")'
        ) from cause  # told without hints, too
    forks.forbid("obstore")  # its threads live from here on, and not in a forked child
    try:
        return Clients(_client(scheme, bucket, _ASKING, tries=1), _client(scheme, bucket, _MOVING, tries=3))
    except (ValueError, obstore.exceptions.BaseError) as cause:
        from .troubles import words

        raise TargetError(f"{place}: its client cannot be made: {words(cause)}", hint=_SETTINGS[scheme]) from cause


_SETTINGS = {
    "s3": "Look at AWS_REGION and AWS_ENDPOINT_URL, or [s3] region and endpoint in levada.toml.",
    "gs": "Look at GOOGLE_APPLICATION_CREDENTIALS and GOOGLE_BASE_URL, or [gs] endpoint in levada.toml.",
    "az": "Look at AZURE_STORAGE_ACCOUNT_NAME and AZURE_ENDPOINT, or [az] account and endpoint in levada.toml.",
}


def _client(scheme: str, bucket: str, timeout: timedelta, tries: int) -> Client:
    from obstore.store import AzureStore, GCSStore, S3Store

    # Only an endpoint that somebody wrote as http:// is spoken to without TLS; obstore wants to be told twice.
    options: ClientConfig = {"connect_timeout": _CONNECTING, "timeout": timeout, "allow_http": True}
    retries: RetryConfig = {"max_retries": tries, "retry_timeout": timeout, "backoff": {"max_backoff": timedelta(seconds=2)}}
    if scheme == "gs":
        google: GCSConfig = {}
        if endpoint := _setting(scheme, "endpoint"):
            google["base_url"] = endpoint
        return GCSStore(bucket, config=google, client_options=options, retry_config=retries)
    if scheme == "az":
        azure: AzureConfig = {}
        if endpoint := _setting(scheme, "endpoint"):
            azure["endpoint"] = endpoint
        if account := _setting(scheme, "account"):
            azure["account_name"] = account
        return AzureStore(bucket, config=azure, client_options=options, retry_config=retries)
    amazon: S3Config = {"copy_if_not_exists": "multipart"}
    if endpoint := _setting(scheme, "endpoint"):
        amazon["endpoint"] = endpoint
    if region := _setting(scheme, "region"):
        amazon["region"] = region
    return S3Store(bucket, config=amazon, client_options=options, retry_config=retries)


def _setting(scheme: str, key: str) -> str:
    value = setting(scheme, key)
    return "" if value is None else str(value)
