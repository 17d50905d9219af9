"""An endpoint: where a model is asked, in which dialect, with which key, at which price."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from agentkit.config import Settings
from agentkit.errors import ConfigError
from agentkit.model import catalog, providers, providers_file
from agentkit.model.providers import Provider

LOCAL_CONCURRENCY = 256


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

    @property
    def concurrency(self) -> int:
        """Requests in flight that one key may be expected to bear; many on this machine."""
        known = self.provider.concurrency
        return max(known, LOCAL_CONCURRENCY) if self.is_local else known

    def require_key(self) -> None:
        """Refuse to go on without a key where one is needed.

        Raises:
            ConfigError: no key for a provider that wants one.
        """
        if not self.key and not self.is_local and self.provider.needs_key:
            raise ConfigError(
                f"No key for {self.base_url}: set {self.provider.key}, or pass "
                "GLM(api_key=...). `agentkit demo` runs without a key."
            )


def resolve(
    model: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    provider: str | Provider | None = None,
    price: catalog.Price | None = None,
) -> Endpoint:
    """Return the endpoint that arguments and environment name together.

    A key from the environment goes only to the provider whose variable it is; ZAI_API_KEY also to
    the endpoint that ZAI_BASE_URL names.

    Raises:
        ConfigError: an empty model name, an unknown provider, a URL that is none, or a wrong
            record in the settings' file of providers.
    """
    if not model.strip():
        raise ConfigError("The model's name is empty. Expected an id such as 'glm-5'.")
    settings = Settings.load()
    own = providers_file.load(settings.providers_file, required=settings.providers is not None)
    url = (base_url or settings.base_url).rstrip("/")
    chosen = providers.choose(url, provider, own)
    key = api_key or settings.keys.get(chosen.key, "")
    if not key and base_url is None:
        key = settings.keys.get("ZAI_API_KEY", "")
    info = catalog.find(model)
    listed = info.price if info and chosen.list_price else None
    return Endpoint(model, url, chosen, key, info, price or listed)
