"""The command line: arguments in, `seglens.run`, text and files out. It needs the extra 'cli'."""

try:
    import rich as _rich
    import typer as _typer
except ImportError as _absent:
    raise SystemExit(
        f"The command line needs {_absent.name}, which is not installed: pip install 'seglens[cli]'"
    ) from None

from seglens.cli.app import app, main

__all__ = ["app", "main"]

del _rich, _typer
