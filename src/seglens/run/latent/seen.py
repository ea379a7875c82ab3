"""One image as an autoencoder has it, and words and numbers that those who move through its latent space share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.images import Source
from seglens.run.explain import provenance
from seglens.run.latent.coding import Coding, Condition, table_for
from seglens.run.latent.decodings import Decodings, Kind, words_of
from seglens.run.latent.fitting import condition_words, own_condition
from seglens.run.questions import Case, NetworkSource, make_case


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One image as the autoencoder has it. mu, logvar: [1 d]. condition: [1 c], its own."""

    coding: Coding
    case: Case
    mu: Tensor
    logvar: Tensor
    condition: Tensor | None

    @classmethod
    def of(
        cls, network: NetworkSource, image: Source, condition: Condition, device: str | torch.device | None
    ) -> "Seen":
        """Read, and encoded with its own condition, of which what is not given is read off it. Raises what these do."""
        coding = Coding.of(network, device)
        case = make_case(coding.network, image)
        given, unknown = own_condition(coding, case.x, condition)
        if given is not None:
            case = replace(case, notes=(*case.notes, condition_words(coding, given[0], unknown)))
        mu, logvar = coding.encode(case.x, given)
        return cls(coding.beside(case.x), case, mu, logvar, given)

    def decode(self, z: NDArray[np.float32], condition: Tensor | None = None) -> Tensor:
        """Pictures [R C K H W] of z [R C d]; condition [R·C c], by default the image's own."""
        given = self.condition if condition is None else condition
        flat = torch.from_numpy(np.ascontiguousarray(z, np.float32)).reshape(-1, z.shape[-1])
        decoded = self.coding.decode(flat, given)
        return decoded.reshape(*z.shape[:2], *decoded.shape[1:])

    def result(
        self,
        kind: Kind,
        title: str,
        z: NDArray[np.float32],
        pictures: Tensor,
        *,
        rows: Sequence[str],
        row_notes: Sequence[str],
        columns: Sequence[str],
        across: str,
        below: str = "",
        conditions: Tensor | None = None,
        notes: Sequence[str] = (),
        **more: Any,
    ) -> Decodings:
        """With what is known of the image."""
        coding, network = self.coding, self.coding.network
        reconstruction = coding.decode(self.mu, self.condition)[0]
        given = self.condition if conditions is None else conditions
        shape = (*z.shape[:2], -1)
        return Decodings(
            kind=kind,
            title=title,
            network=network.name,
            image=self.case.picture.name,
            produces=coding.coder.produces,
            z=z.astype(np.float32),
            pictures=pictures.numpy(),
            rows=tuple(rows),
            row_notes=tuple(row_notes),
            columns=tuple(columns),
            across=across,
            down=below,
            classes=None if coding.is_image else table_for(coding, reconstruction.shape[0]),
            given=self.display(),
            reconstruction=reconstruction.numpy(),
            mu=self.mu[0].numpy(),
            logvar=self.logvar[0].numpy(),
            conditions=None if given is None else _spread(given, shape),
            condition_names=coding.coder.conditions,
            notes=(*self.case.notes, *notes, *told_of(coding)),
            provenance=provenance(network, self.case),
            **more,
        )

    def display(self) -> NDArray[np.uint8]:
        """The image as the network received it; as it was read where the convention does not lead back."""
        pixels = self.coding.network.convention.denormalise(self.case.x)
        if pixels is None:
            return self.case.picture.display
        shown = np.rint(pixels[0].clamp(0, 1).cpu().numpy() * 255).astype(np.uint8)
        return shown[0] if len(shown) != 3 else np.moveaxis(shown, 0, -1)


def told_of(coding: Coding) -> tuple[str, ...]:
    """What the decoder was told besides latent vectors, in words; nothing of one that takes nothing else."""
    if coding.image is not None:
        return ("Decoded with what the network's branch sees in the image given, the same at all steps.",)
    if hasattr(coding.coder, "decode_beside"):
        return ("Decoded from latent vectors alone: nothing comes from the network's branch.",)
    return ()


def _spread(given: Tensor, shape: tuple[int, ...]) -> NDArray[np.float32]:
    values = given.cpu().float().numpy()
    if values.ndim == 3:
        return values
    n = shape[0] * shape[1]
    return np.broadcast_to(values, (n, values.shape[1])).reshape(shape).copy()


def numbers(values: Sequence[float]) -> NDArray[np.float64]:
    """Values that a person gave. Raises ParameterError for none, and for what is no number."""
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not found.size or not np.isfinite(found).all():
        raise ParameterError(f"values are numbers in a list, at least one, not {values!r}.")
    return found


def at_least(n: int, least: int) -> int:
    """A number that is not too small. Raises ParameterError."""
    if n < least:
        raise ParameterError(f"{n} is too few: at least {least}.")
    return n


def signed(values: NDArray[np.float64]) -> tuple[str, ...]:
    """Headings of columns of what is added."""
    return tuple(t if t.startswith("−") or t == "0" else f"+{t}" for t in words_of(values.tolist()))
