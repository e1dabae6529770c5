"""What of a result is nobody's business: the user's name and where the home folder is."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results.schema import map_texts

HOME, USER = "~", "USER"
"""What stands for them."""

_END = r"(?=[/\\:;,'\"\s)\]]|$)"
_START = r"(?<![\w.-])"


@dataclass(frozen=True)
class Redaction:
    """Replaces the home folder at the start of paths, and the user's name as a part of others."""

    home: str
    user: str

    @classmethod
    def of_this_user(cls) -> Redaction:
        """The user whose process this is; what is not known cannot be told either."""
        try:
            home = str(Path.home())
        except RuntimeError:
            home = ""
        try:
            user = getpass.getuser()
        except (OSError, KeyError):
            user = ""
        return cls(home.rstrip("/"), user)

    def __call__(self, value: Any) -> Any:
        """The same tree with every text, names of fields included, as it may be published."""
        return map_texts(value, self._text)

    def _text(self, text: str) -> str:
        if "/" not in text:
            return text
        if self.home:
            text = re.sub(f"{_START}{re.escape(self.home)}{_END}", HOME, text)
        if self.user:
            text = re.sub(f"(?<=/){re.escape(self.user)}{_END}", USER, text)
        return text
