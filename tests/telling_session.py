"""A worker's session that tells what it has loaded."""

from __future__ import annotations

import sys
from typing import Any

from bench.workers.session import Session


class TellingSession(Session):
    """The commands of a session, and one more."""

    def loaded(self) -> dict[str, Any]:
        """Names of the modules that the process has loaded: `names`."""
        return self._reply(names=sorted(sys.modules))
