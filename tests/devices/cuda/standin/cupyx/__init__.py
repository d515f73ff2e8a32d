# ruff: noqa: F401, F403, N803, ARG001
import contextlib


@contextlib.contextmanager
def errstate(**options):
    yield
