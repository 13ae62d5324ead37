"""Settings as a user writes them: flags, variables and a file, read in an empty directory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from shadowserve.errors import SettingsError
from shadowserve.settings import loading
from shadowserve.settings.settings import Settings


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    required: Iterable[str] = (),
    toml: str = "",
) -> Settings:
    if toml:
        Path("shadowserve.toml").write_text(toml)
    return loading.load(flags or {}, environ=environ or {}, required=required)


def faults_of(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(*args, **kwargs)
    return str(caught.value).splitlines()
