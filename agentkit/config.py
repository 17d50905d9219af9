"""Settings from the environment; the only file that reads it.

| variable | meaning |
|---|---|
| ZAI_API_KEY | key of the endpoint |
| ZAI_BASE_URL | endpoint, default https://api.z.ai/api/paas/v4 |
| OPENROUTER_API_KEY | key used for openrouter.ai instead of ZAI_API_KEY |
| AGENTKIT_MODEL | model of the command line, default glm-5 |
| AGENTKIT_HOME | folder of the log and its blobs, default ~/.local/share/agentkit |
| AGENTKIT_LOG | level of the operator's log on stderr, default warning |
| AGENTKIT_NO_INSTALL | 1: set-up commands install nothing and say what is missing |
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ZAI_BASE_URL = "https://api.z.ai/api/paas/v4"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says; keys are kept out of the repr.

    Attributes:
        base_url: endpoint of the model.
        model: model of the command line.
        home: folder of the log and its blobs.
        log_level: level of the operator's log.
    """

    base_url: str = ZAI_BASE_URL
    model: str = "glm-5"
    home: Path = Path("~/.local/share/agentkit")
    log_level: str = "warning"
    keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings from `environ`, by default the process's own environment."""
        env = os.environ if environ is None else environ  # noqa: TID251 - this is that file
        data = env.get("XDG_DATA_HOME") or "~/.local/share"
        return cls(
            base_url=env.get("ZAI_BASE_URL") or ZAI_BASE_URL,
            model=env.get("AGENTKIT_MODEL") or "glm-5",
            home=Path(env.get("AGENTKIT_HOME") or Path(data, "agentkit")).expanduser(),
            log_level=(env.get("AGENTKIT_LOG") or "warning").lower(),
            keys={name: key for name in KEY_NAMES if (key := env.get(name, "").strip())},
        )


KEY_NAMES = ("ZAI_API_KEY", "OPENROUTER_API_KEY")
