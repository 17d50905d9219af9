"""Settings from the environment; the only file that reads it.

| variable | meaning |
|---|---|
| ZAI_API_KEY | key of the endpoint |
| ZAI_BASE_URL | endpoint, default https://api.z.ai/api/paas/v4 |
| OPENROUTER_API_KEY | key of openrouter.ai |
| NVIDIA_API_KEY | key of NVIDIA NIM |
| DASHSCOPE_API_KEY | key of Alibaba Model Studio |
| FIREWORKS_API_KEY | key of Fireworks |
| OLLAMA_API_KEY | key of Ollama Cloud |
| ..._API_KEY | key of a provider of your own that names this variable |
| AGENTKIT_PROVIDERS | JSON file of providers, default providers.json in AGENTKIT_HOME |
| AGENTKIT_MODEL | model of the command line, default glm-5 |
| AGENTKIT_HOME | folder of the log and its blobs, default ~/.local/share/agentkit |
| AGENTKIT_STORE | URL of the log: sqlite:///FOLDER or postgresql://..., default AGENTKIT_HOME |
| AGENTKIT_LOG | level of the operator's log on stderr, default warning |
| NO_COLOR | anything: the command line shows no colours |
| AGENTKIT_NO_INSTALL | 1: set-up commands install nothing and say what is missing |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ZAI_BASE_URL = "https://api.z.ai/api/paas/v4"
KEY_SUFFIX = "_API_KEY"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; keys are kept out of the repr.

    Attributes:
        base_url: endpoint of the model.
        model: model of the command line.
        home: folder of the log and its blobs.
        log_level: level of the operator's log.
        providers: file of the user's own providers, if AGENTKIT_PROVIDERS names one.
        store: URL of the store, if AGENTKIT_STORE names one; it may hold a password.
        no_color: whether the terminal is to stay without colours.
        keys: all variables whose name ends in _API_KEY and that are not empty.
    """

    base_url: str = ZAI_BASE_URL
    model: str = "glm-5"
    home: Path = Path("~/.local/share/agentkit")
    log_level: str = "warning"
    providers: Path | None = None
    store: str | None = field(default=None, repr=False)
    no_color: bool = False
    keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @property
    def providers_file(self) -> Path:
        """Where the user's own providers stand, whether or not there is such a file."""
        return self.providers or self.home / "providers.json"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environ`, by default the process's own environment."""
        env = os.environ if environ is None else environ  # noqa: TID251 - this is that file
        data = env.get("XDG_DATA_HOME") or "~/.local/share"
        named = env.get("AGENTKIT_PROVIDERS")
        return cls(
            base_url=env.get("ZAI_BASE_URL") or ZAI_BASE_URL,
            model=env.get("AGENTKIT_MODEL") or "glm-5",
            home=Path(env.get("AGENTKIT_HOME") or Path(data, "agentkit")).expanduser(),
            log_level=(env.get("AGENTKIT_LOG") or "warning").lower(),
            providers=Path(named).expanduser() if named else None,
            store=env.get("AGENTKIT_STORE") or None,
            no_color=bool(env.get("NO_COLOR")),
            keys={
                name: key.strip()
                for name, key in env.items()
                if name.endswith(KEY_SUFFIX) and key.strip()
            },
        )


def variable(name: str) -> str | None:
    """Return a variable that a file of the user's names, such as `${TOKEN}` in an mcp.json."""
    return os.environ.get(name)  # noqa: TID251 - this is that file
