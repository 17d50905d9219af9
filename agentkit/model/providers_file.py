"""Providers of your own, in a JSON file: read by every GLM, written by `doctor --probe`.

The file holds a list of records, as `Provider.to_json` writes them. A record may say
`"like": "zai"`; what it leaves out is then as it is there, in its dialect too:

    [{"name": "gateway", "like": "zai", "hosts": ["llm.example.com"], "concurrency": 4}]

The path is AGENTKIT_PROVIDERS, by default providers.json in AGENTKIT_HOME.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import orjson

from agentkit.errors import ConfigError
from agentkit.model.providers import PROVIDERS, Provider

_Json = dict[str, Any]
_RECORD = "the record"


def from_json(text: str | bytes) -> Provider:
    """Return the provider that a JSON record describes.

    Args:
        text: one record.

    Raises:
        ConfigError: broken JSON, an unknown, missing or wrong field; it names the field.
    """
    return _provider(_decode(text, _RECORD), _RECORD, {})


def load(path: Path, *, required: bool = False) -> tuple[Provider, ...]:
    """Return the providers of a file, in its order; none when there is no such file.

    Raises:
        ConfigError: the file is missing though required, cannot be read, or holds a wrong record;
            it names the file and the field.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if required:
            raise ConfigError(
                f"There is no file {path} with providers. Mend AGENTKIT_PROVIDERS, or unset it."
            ) from None
        return ()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from error
    records = _decode(text, str(path))
    if not isinstance(records, list):
        raise ConfigError(f"{path}: expected a list of provider records, as in [{{...}}].")
    found: dict[str, Provider] = {}
    for index, record in enumerate(cast("list[Any]", records)):
        provider = _provider(record, f"{path}, record {index}", found)
        if provider.name in found:
            raise ConfigError(f"{path}, record {index}: {provider.name!r} stands there twice.")
        found[provider.name] = provider
    return tuple(found.values())


def save(path: Path, provider: Provider) -> None:
    """Write a provider into a file, in the place of one of the same name.

    Raises:
        ConfigError: the file that is there holds a wrong record.
    """
    others = [known for known in load(path) if known.name != provider.name]
    records = ",\n".join(known.to_json() for known in (provider, *others))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(f"[{records}]\n", encoding="utf-8")
    new.replace(path)


def _decode(text: str | bytes, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{where}: no JSON ({error}).") from None


def _provider(record: Any, where: str, found: Mapping[str, Provider]) -> Provider:
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - only who has a file pays

    if not isinstance(record, dict):
        raise ConfigError(f"{where}: expected an object with the fields of a provider.")
    fields = _completed(cast("_Json", record), where, found)
    try:
        return TypeAdapter(Provider).validate_json(orjson.dumps(fields))
    except ValidationError as error:  # its own text repeats the input, which may hold a key
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{where}, field {field!r}: {first['msg']}.") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _completed(record: _Json, where: str, found: Mapping[str, Provider]) -> _Json:
    """Return the record with what `like` gives it."""
    fields = dict(record)
    like = fields.pop("like", None)
    if like is None:
        return fields
    known = {**{provider.name: provider for provider in PROVIDERS}, **found}
    if like not in known:
        names = ", ".join(known)
        raise ConfigError(f"{where}, field 'like': {like!r} is unknown. Expected one of: {names}.")
    base: _Json = orjson.loads(known[like].to_json())
    own = fields.get("dialect")
    if isinstance(own, dict):
        fields["dialect"] = {**base["dialect"], **cast("_Json", own)}
    return {**base, "hosts": [], "path": "", **fields}
