"""``torch`` for processes that a program started, which have only the ``sys.path`` of it."""

import sys

del sys.modules["torch"]

from dispatchtorch.compat import install_as_torch  # noqa: E402

install_as_torch()
