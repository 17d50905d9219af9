"""Providers: who serves a model, in which dialect, and how a base URL implies it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

import orjson

from agentkit.errors import ConfigError
from agentkit.model import dialect as dialects
from agentkit.model.dialect import OPENAI_FIELDS, PLAIN, ZAI, ZAI_FIELDS, Dialect

__all__ = [
    "OPENAI_FIELDS",
    "PROVIDERS",
    "ZAI",
    "ZAI_FIELDS",
    "Dialect",
    "Provider",
    "choose",
]

_KEY = re.compile(r"[A-Z][A-Z0-9_]*_API_KEY")


@dataclass(frozen=True, slots=True)
class Provider:
    """An endpoint family.

    Attributes:
        name: what `provider=` takes.
        dialect: how it differs on the wire.
        hosts: what implies it: a host ("api.z.ai"), a host with its port ("127.0.0.1:8000"), or
            the end of a host with a dot before it (".aliyuncs.com").
        path: a part of the URL's path that has to be there too; "" for any.
        key: environment variable of its key; its name ends in _API_KEY.
        needs_key: whether it answers nobody without a key.
        concurrency: requests in flight that a key may be expected to bear; where the provider
            publishes no figure, ours.
        list_price: whether the catalog's price, Z.ai's list price, is what a request costs here,
            or at least a fair estimate. On your own server it is not.

    Raises:
        ConfigError: an empty name, a key variable that does not end in _API_KEY, a concurrency
            below 1.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    name: str
    dialect: Dialect = PLAIN
    hosts: tuple[str, ...] = ()
    path: str = ""
    key: str = "ZAI_API_KEY"
    needs_key: bool = True
    concurrency: int = 8
    list_price: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("A provider needs a name: what provider= takes.")
        if not _KEY.fullmatch(self.key):
            raise ConfigError(
                f"Provider {self.name!r}: key={self.key!r} is no name of an environment variable "
                "that ends in _API_KEY. The key itself never stands here."
            )
        if self.concurrency < 1:
            raise ConfigError(
                f"Provider {self.name!r}: concurrency={self.concurrency}: expected 1 or more."
            )

    def serves(self, url: SplitResult) -> bool:
        """Return whether a base URL implies this provider."""
        host, place = url.hostname or "", f"{url.hostname}:{url.port}"
        named = any(
            host.endswith(name) if name.startswith(".") else name in {host, place}
            for name in self.hosts
        )
        return named and self.path in url.path

    def to_json(self) -> str:
        """Return the record as JSON; `providers_file.from_json` reads it again."""
        return orjson.dumps(self, default=sorted, option=orjson.OPT_INDENT_2).decode()


_LOCAL_OLLAMA = ("localhost:11434", "127.0.0.1:11434", "ollama.com")
_ALIBABA = ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", ".maas.aliyuncs.com")

# Concurrency: Z.ai's table stands behind a login and public figures conflict (10 for 5.2, 1 to 5
# for 4.7 on plans: zai-org/GLM-5#83, zai-org/GLM-4#802); a gate shrinks what is too much.
PROVIDERS: tuple[Provider, ...] = (
    Provider(
        "zai-coding",
        dialects.ZAI_CODING,
        ("api.z.ai",),
        "/coding/",
        concurrency=3,
        list_price=True,
    ),
    Provider("zai", ZAI, ("api.z.ai",), concurrency=10, list_price=True),
    Provider(
        "bigmodel-coding",
        dialects.BIGMODEL_CODING,
        ("open.bigmodel.cn",),
        "/coding/",
        concurrency=3,
        list_price=True,
    ),
    Provider("bigmodel", dialects.BIGMODEL, ("open.bigmodel.cn",), concurrency=10, list_price=True),
    Provider(
        "openrouter",
        dialects.OPENROUTER,
        ("openrouter.ai",),
        key="OPENROUTER_API_KEY",
        concurrency=32,
        list_price=True,
    ),
    Provider("vllm", dialects.VLLM, needs_key=False, concurrency=256),
    Provider("sglang", dialects.SGLANG, needs_key=False, concurrency=256),
    Provider("nim", dialects.NIM, ("integrate.api.nvidia.com",), key="NVIDIA_API_KEY"),
    Provider("ollama", dialects.OLLAMA, _LOCAL_OLLAMA, key="OLLAMA_API_KEY", concurrency=4),
    Provider("alibaba", dialects.ALIBABA, _ALIBABA, key="DASHSCOPE_API_KEY", concurrency=16),
    Provider(
        "fireworks",
        dialects.FIREWORKS,
        ("api.fireworks.ai",),
        key="FIREWORKS_API_KEY",
        concurrency=16,
    ),
    Provider("apiyi", PLAIN, ("api.apiyi.com",), concurrency=16, list_price=True),
    Provider("openai", PLAIN, needs_key=False, concurrency=16, list_price=True),
)

_BY_NAME = {provider.name: provider for provider in PROVIDERS}


def choose(
    base_url: str, name: str | Provider | None = None, own: Sequence[Provider] = ()
) -> Provider:
    """Return the provider called `name`, or the one that `base_url` implies.

    A path that ends in `/paas/v4` speaks Z.ai's dialect whatever its host (a gateway, the test
    server). Any other unknown host is taken for a plain OpenAI-compatible server, which gets only
    the fields that all of them take: name the provider to get thinking control on your own server.

    Args:
        base_url: the endpoint without `/chat/completions`.
        name: a provider's name, or a record of your own.
        own: records from the settings; they go before those that agentkit knows.

    Raises:
        ConfigError: an unknown name, or a URL without host, with another scheme than http(s), or
            with credentials in it.
    """
    url = _split(base_url)
    if isinstance(name, Provider):
        return name
    known = (*own, *PROVIDERS)
    for provider in known:
        if name == provider.name or (name is None and provider.serves(url)):
            return provider
    if name is not None:
        names = ", ".join(dict.fromkeys(provider.name for provider in known))
        raise ConfigError(f"provider={name!r} is unknown. Expected one of: {names}.")
    path = url.path.rstrip("/")
    if path.endswith("/coding/paas/v4"):
        return _BY_NAME["zai-coding"]
    return _BY_NAME["zai" if path.endswith("/paas/v4") else "openai"]


def _split(base_url: str) -> SplitResult:
    try:
        url = urlsplit(base_url)
        found = url.scheme in {"http", "https"} and url.hostname and (url.port or True)
    except ValueError:  # a port that is no number, half an IPv6 address
        url, found = urlsplit(""), False
    if url.username or url.password:
        raise ConfigError(
            f"base_url at {url.hostname!r} holds a user or password. Pass the key as api_key=."
        )
    if not found:
        raise ConfigError(
            f"base_url={base_url!r} is no http(s) URL. Expected something like "
            "https://api.z.ai/api/paas/v4."
        )
    return url
