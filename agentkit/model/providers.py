"""Providers and their dialects, as data.

Sources: docs.z.ai chat-completion reference, recorded traffic of api.z.ai and openrouter.ai
(tests/recorded), the READMEs of zai-org/GLM-5 (vLLM, SGLang).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from agentkit.errors import ConfigError

ZAI_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "max_tokens",
        "temperature",
        "top_p",
        "do_sample",
        "thinking",
        "tools",
        "tool_choice",
        "tool_stream",
        "stop",
        "response_format",
        "request_id",
        "user_id",
    }
)
"""Z.ai's request fields; the documented set is closed."""

OPENAI_FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "temperature",
        "top_p",
        "tools",
        "tool_choice",
        "stop",
        "response_format",
    }
)
"""Fields that every OpenAI-compatible server takes."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an endpoint differs on the wire.

    Attributes:
        fields: request fields it takes; others are left out.
        thinking: where the thinking switch goes: Z.ai's `thinking` object, OpenRouter's
            `reasoning` object, the chat template's arguments (vLLM, SGLang), or nowhere.
        replay: names of the assistant field that carries earlier thinking back.
    """

    fields: frozenset[str]
    thinking: Literal["zai", "openrouter", "template", "none"]
    replay: tuple[str, ...] = ("reasoning_content",)


ZAI = Dialect(ZAI_FIELDS, "zai")
OPENROUTER = Dialect(OPENAI_FIELDS | {"reasoning", "usage"}, "openrouter", ("reasoning",))
TEMPLATE = Dialect(
    OPENAI_FIELDS | {"chat_template_kwargs"}, "template", ("reasoning_content", "reasoning")
)
PLAIN = Dialect(OPENAI_FIELDS, "none")


@dataclass(frozen=True, slots=True)
class Provider:
    """An endpoint family.

    Attributes:
        name: what `provider=` takes.
        dialect: how it differs on the wire.
        hosts: host names that imply it.
        key: environment variable of its key, tried before ZAI_API_KEY.
    """

    name: str
    dialect: Dialect
    hosts: tuple[str, ...] = ()
    key: str = "ZAI_API_KEY"


PROVIDERS: tuple[Provider, ...] = (
    Provider("zai", ZAI, ("api.z.ai",)),
    Provider("bigmodel", ZAI, ("open.bigmodel.cn",)),
    Provider("openrouter", OPENROUTER, ("openrouter.ai",), "OPENROUTER_API_KEY"),
    Provider("vllm", TEMPLATE),
    Provider("sglang", TEMPLATE),
    Provider("openai", PLAIN),
)


def choose(base_url: str, name: str | None = None) -> Provider:
    """Return the provider called `name`, or the one that the host of `base_url` implies.

    A path that ends in `/paas/v4` speaks Z.ai's dialect whatever its host (a gateway, the test
    server). Any other unknown host is taken for a plain OpenAI-compatible server, which gets only
    the fields that all of them take: name the provider to get thinking control on your own server.

    Raises:
        ConfigError: an unknown name, or a URL without host, with another scheme than http(s), or
            with credentials in it.
    """
    url = urlsplit(base_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ConfigError(
            f"base_url={base_url!r} is no http(s) URL. Expected something like "
            "https://api.z.ai/api/paas/v4."
        )
    if url.username or url.password:
        raise ConfigError(
            f"base_url at {url.hostname!r} holds a user or password. Pass the key as api_key=."
        )
    for provider in PROVIDERS:
        if name == provider.name or (name is None and url.hostname in provider.hosts):
            return provider
    if name is None and url.path.rstrip("/").endswith("/paas/v4"):
        return PROVIDERS[0]
    if name is not None:
        known = ", ".join(provider.name for provider in PROVIDERS)
        raise ConfigError(f"provider={name!r} is unknown. Expected one of: {known}.")
    return next(provider for provider in PROVIDERS if provider.name == "openai")
