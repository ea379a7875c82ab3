"""Everything that seglens raises or warns about by name, and how a message offers the nearest names."""

from collections.abc import Iterable
from difflib import get_close_matches


class SeglensError(Exception):
    """Base of all errors of seglens: catch it to catch them all. Its text says what to do."""


class LayerNotFoundError(SeglensError, LookupError):
    """A layer name that the network does not have."""


class ClassNotFoundError(SeglensError, LookupError):
    """A class name or index that the class table does not have."""


class NameNotFoundError(SeglensError, LookupError):
    """A method, writer, built-in network or other registered thing that does not exist."""


class EmptyRegionError(SeglensError, ValueError):
    """No pixel lies in the region asked about: there is no score, so there is no map."""


class ShapeError(SeglensError, ValueError):
    """A tensor, mask or image of another shape than expected."""

    def __init__(self, message: str, actual: tuple[int, ...] | None = None) -> None:
        super().__init__(message)
        self.actual = actual


class ParameterError(SeglensError, ValueError):
    """A field or argument outside its range or of the wrong kind."""


class RegionError(SeglensError, ValueError):
    """A region that cannot be worked out here: no truth given, outside the image, malformed."""


class ImageError(SeglensError, ValueError):
    """An image that cannot be read, or not for this network."""


class NetworkError(SeglensError, RuntimeError):
    """A network that cannot be loaded, called or understood."""


class UnsafeFileError(NetworkError):
    """A file that could run code when opened, refused."""


class CaptureError(SeglensError, RuntimeError):
    """A layer that cannot be tapped, or that never ran."""


class RectifierError(CaptureError):
    """No rectifier whose gradient could be changed: there is no guided back-propagation of this network."""


class NonFiniteError(SeglensError, ArithmeticError):
    """The network gave NaN or infinity."""


class DuplicateNameError(SeglensError, ValueError):
    """A name registered twice."""


class MissingExtraError(SeglensError, ImportError):
    """An optional part that is not installed."""


class SeglensWarning(UserWarning):
    """Base of all warnings of seglens.

    image: the place in the batch that it concerns, None for all of it. layer: likewise, of several layers.
    """

    def __init__(self, message: str, image: int | None = None, layer: str | None = None) -> None:
        super().__init__(message)
        self.image = image
        self.layer = layer

    def concerns(self, image: int, layer: str | None) -> bool:
        """Whether it speaks of the explanation of that image at that layer."""
        return self.image in (None, image) and self.layer in (None, layer)


class EmptyRegionWarning(SeglensWarning):
    """Some regions of a batch are empty: their maps are NaN."""


class ZeroMapWarning(SeglensWarning):
    """A map is zero everywhere: a picture of it says nothing."""


class GuessWarning(SeglensWarning):
    """Something about the network was guessed, not declared."""


class ReachWarning(SeglensWarning):
    """A map shows places from which the region cannot be seen."""


class LinearHeadWarning(SeglensWarning):
    """Grad-CAM at a layer that feeds a linear head: a rescaled logit map, nothing new."""


class CompletenessWarning(SeglensWarning):
    """Integrated gradients do not sum to the change of score within the stated gap."""


class RepeatedLayerWarning(SeglensWarning):
    """A layer runs several times in one pass, and one of its calls was taken."""


class BatchMixingWarning(SeglensWarning):
    """The network normalises over the batch: images of one batch influence each other."""


class MemoryWarning(SeglensWarning):
    """Memory ran out; the work goes on in smaller batches."""


class DegenerateImageWarning(SeglensWarning):
    """An image was changed to fit the network in a way that may matter (padded to its stride, say)."""


class SeamWarning(SeglensWarning):
    """Tiles do not agree where they meet: the tiled network is another function than on the whole picture."""


class MaskSearchWarning(SeglensWarning):
    """The search for a saliency mask ended worse than where it need not have begun: at the empty or the full mask."""


class SamplingNoiseWarning(SeglensWarning):
    """A map of a drawn latent vector: its sign may hang on the draw."""


class DeadUnitWarning(SeglensWarning):
    """A latent unit whose posterior is its prior: it tells nothing of the image, and its map means nothing."""


class FillWarning(SeglensWarning):
    """A fill takes nothing away from the score, and another stands in for it."""


class UndefinedWarning(SeglensWarning):
    """A measure is undefined for these data, and NaN: too few images, a factor that never changes."""


class WeakDependenceWarning(SeglensWarning):
    """A map hangs more on the picture and the architecture than on what the network learned."""


class DisagreementWarning(SeglensWarning):
    """Methods asked the same question point to different places."""


class NoCurvatureWarning(SeglensWarning):
    """Second derivatives of a piecewise linear function were asked for: they are zero, or nothing but noise."""


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The up to `n` names most like `name`, compared without regard to case."""
    by_fold: dict[str, str] = {}
    for candidate in known:
        by_fold.setdefault(candidate.casefold(), candidate)
    return [by_fold[m] for m in get_close_matches(name.casefold(), list(by_fold), n=n, cutoff=0.4)]


def suggest(name: str, known: Iterable[str]) -> str:
    """A line '  Nearest: …' for an error message, or '' where nothing is near."""
    near = nearest(name, known)
    return "\n  Nearest: " + ", ".join(repr(n) for n in near) + "." if near else ""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtraError:
    """The error for an absent optional package: what it is for, and the line that brings it."""
    return MissingExtraError(
        f"{purpose} needs {package}, which is not installed.\n  It comes with: pip install 'seglens[{extra}]'"
    )
