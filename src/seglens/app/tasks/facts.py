"""What the page is told of this installation before anything is asked: methods, networks, colours, hardware."""

from typing import Any

import torch

from seglens.app.tasks import FAST
from seglens.core.method import METHODS, needs_context, takes_target
from seglens.run.methods import method_cards
from seglens.run.shipped import colour_tables, shipped_networks
from seglens.run.stepwise import is_iterative


def facts() -> dict[str, Any]:
    """The parts of Session that need the library itself."""
    gpu = torch.cuda.is_available()
    methods: list[dict[str, Any]] = []
    for card in method_cards():
        kind = None if card.problem else METHODS[card.name]
        # Of a class this may be a property, which hangs on its fields.
        asked = True if kind is None else takes_target(kind() if _has_defaults(card) else kind)
        more = {
            "takes_target": asked,
            "needs_context": needs_context(kind),
            "iterative": is_iterative(kind),
            "fast": card.name in FAST,
        }
        methods.append({**card.to_dict(), **more})
    return {
        "methods": methods,
        "builtin": [{"name": n.name, "task": n.task, "summary": n.summary} for n in shipped_networks()],
        "colours": colour_tables(),
        "device": torch.cuda.get_device_name() if gpu else "CPU",
        "graphics_memory": torch.cuda.get_device_properties(0).total_memory if gpu else None,
    }


def _has_defaults(card: Any) -> bool:
    """Whether a method can be made without a word; one that needs a field has None as its default here."""
    return all(p.default is not None or p.optional for p in card.parameters)
