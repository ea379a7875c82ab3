"""The page: a local server that asks `seglens.run` in worker processes and shows what comes of it in a browser.

Nothing here imports torch but `worker` and `tasks`, which run in processes of their own.
"""

from importlib.util import find_spec

from seglens.core.errors import missing_extra


def check_extra() -> None:
    """Raise MissingExtraError, which says what to install, where a package that the server needs is absent."""
    for package in ("fastapi", "uvicorn", "websockets"):
        if find_spec(package) is None:
            raise missing_extra(package, "app", "the page")
