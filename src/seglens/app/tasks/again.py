"""A result as an object once more, to be saved in another form: from what was kept, else by asking again."""

from pathlib import Path

from seglens.app.faults import Fault
from seglens.app.tasks.explaining import KEPT, reopened
from seglens.app.tasks.outcome import Outcome
from seglens.app.tasks.work import Work


def made_again(work: Work, key: str, folder: Path) -> Outcome:
    """The outcome of a result in the store. Raises Fault where it cannot be made again."""
    from seglens.app.tasks.table import TASKS

    if (folder / KEPT).is_file():
        return reopened(folder / KEPT)
    request = (work.store.head(key) or {}).get("request")
    made = TASKS[request["task"]](work, request["payload"]) if request else None
    if not isinstance(made, Outcome):
        raise Fault(409, "ResultError", "the result cannot be made again.\n  Ask anew.")
    return made
