"""A lock that processes pass to each other through a file."""

from __future__ import annotations

import os
import time
import warnings

__all__ = ["FileBaton"]


class FileBaton:
    """The process that creates the file has the baton until it removes it.

    Args:
        lock_file_path: the file.
        wait_seconds: how often waiting processes look.
        warn_after_seconds: warns once when waiting takes longer.
    """

    def __init__(
        self,
        lock_file_path: str,
        wait_seconds: float = 0.1,
        warn_after_seconds: float | None = None,
    ) -> None:
        self.lock_file_path = lock_file_path
        self.wait_seconds = wait_seconds
        self.warn_after_seconds = warn_after_seconds
        self.fd: int | None = None

    def try_acquire(self) -> bool:
        """Takes the baton if nobody has it; whether that worked."""
        try:
            self.fd = os.open(self.lock_file_path, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        return True

    def wait(self) -> None:
        """Returns once nobody has the baton; doesn't take it."""
        start = time.monotonic()
        warned = False
        while os.path.exists(self.lock_file_path):
            time.sleep(self.wait_seconds)
            late = self.warn_after_seconds
            if late is not None and not warned and time.monotonic() - start > late:
                warned = True
                warnings.warn(
                    f"Waited on lock file '{self.lock_file_path}' for {late} seconds.",
                    stacklevel=2,
                )

    def release(self) -> None:
        """Gives the baton back."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
        os.remove(self.lock_file_path)
