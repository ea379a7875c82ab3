"""While a wheel is made: the page is built anew where its sources changed and Node is at hand."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SCRIPT = Path(__file__).parent / "web" / "build.py"


class PageHook(BuildHookInterface):
    """Equal: nothing to do. Stale: built with npm, or told of. Absent and no npm: refused."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before files are collected."""
        del version, build_data
        if not SCRIPT.is_file():
            # In a source distribution the page is built already, and its sources may be left out.
            return
        page = _script()
        if page.built() == page.digest():
            return
        if page.npm() is not None:
            page.build()
        elif page.built() is None:
            raise SystemExit(
                "The page is not built, and Node (20.19 or later, with npm) is not here to build it.\n"
                "  Take a commit with src/seglens/app/_static, or install Node."
            )
        else:
            self.app.display_warning("The page in the package is older than web/: build it with python web/build.py.")


def _script() -> ModuleType:
    told = importlib.util.spec_from_file_location("seglens_page_build", SCRIPT)
    if told is None or told.loader is None:
        raise SystemExit(f"{SCRIPT} cannot be read.")
    module = importlib.util.module_from_spec(told)
    told.loader.exec_module(module)
    return module
