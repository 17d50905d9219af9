"""An endpoint: where a model is asked, in which dialect, with which key, at which price."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agentkit.config import Settings
from agentkit.errors import ConfigError
from agentkit.model import catalog, providers
from agentkit.model.providers import Provider


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What GLM's arguments and the environment amount to; the key is kept out of the repr.

    Attributes:
        model: id of the model at this endpoint.
        base_url: without `/chat/completions` and without a slash at its end.
        provider: who serves it, and so the dialect.
        key: what goes into the Authorization header; "" for none.
        info: what the catalog knows of the model, or None.
        price: USD per million tokens, or None when unknown.
    """

    model: str
    base_url: str
    provider: Provider
    key: str = field(repr=False, default="")
    info: catalog.ModelInfo | None = None
    price: catalog.Price | None = None

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine."""
        return urlsplit(self.base_url).hostname in {"localhost", "127.0.0.1", "::1"}

    def require_key(self) -> None:
        """Refuse to go on without a key where one is needed.

        Raises:
            ConfigError: no key for a provider that wants one.
        """
        # Somebody's own server may need no key.
        if not self.key and not self.is_local and self.provider.name != "openai":
            raise ConfigError(
                f"No key for {self.base_url}: set {self.provider.key}, or pass "
                "GLM(api_key=...). `agentkit demo` runs without a key."
            )


def resolve(
    model: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    provider: str | None = None,
    price: catalog.Price | None = None,
) -> Endpoint:
    """Return the endpoint that arguments and environment name together.

    Raises:
        ConfigError: an unknown provider, or a URL that is none.
    """
    settings = Settings.load()
    url = (base_url or settings.base_url).rstrip("/")
    chosen = providers.choose(url, provider)
    key = api_key or settings.keys.get(chosen.key) or settings.keys.get("ZAI_API_KEY", "")
    info = catalog.find(model)
    return Endpoint(model, url, chosen, key, info, price or (info.price if info else None))
