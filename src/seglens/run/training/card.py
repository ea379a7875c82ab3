"""The model card: what a network was trained on and how, what it reaches, and what it is not for."""

from collections.abc import Mapping

from seglens.run.training.building import Built
from seglens.run.training.data import Facts
from seglens.run.training.folder import Folder
from seglens.run.training.recipe import MASKED, Kind, Recipe
from seglens.run.training.result import Trained

_KINDS: Mapping[Kind, str] = {
    "vae": "Variational autoencoder of images",
    "cvae": "Variational autoencoder of images, conditioned on attributes",
    "seg-vae": "Segmentation VAE: class masks drawn from a latent vector alone",
    "mgrad2vae": "Mgrad2VAE: segmentation VAE with attention from second-order derivatives of its encoder",
    "segmenter": "Segmenter: a class for each pixel",
}

_FIGURES: Mapping[str, str] = {
    "loss": "loss, as trained",
    "reconstruction": "reconstruction loss ({reconstruction})",
    "kl": "KL divergence, nats a picture",
    "active_units": "active latent units (variance of the mean above 0.01)",
    "squared_error": "mean squared error of pixels in 0..1",
    "mean_iou": "mean IoU of the classes",
    "pixel_accuracy": "pixels labelled right",
    "mean_accuracy": "mean accuracy of the classes",
    "attention": "attention loss ({reconstruction})",
    "attention_mean_iou": "attention maps: mean IoU",
    "attention_pixel_accuracy": "attention maps: pixels labelled right",
    "attention_mean_accuracy": "attention maps: mean accuracy of the classes",
}


def card(trained: Trained, built: Built, recipe: Recipe, facts: Facts, counts: tuple[int, int, int]) -> str:
    """The card in Markdown. counts: pictures of training, validation and test."""
    data, _, folder = recipe.data.name.partition(":")
    where = f"{data}:FOLDER" if folder else data  # whose disk it was is nobody's business
    lines = [
        f"# {recipe.architecture} on {data}",
        "",
        f"{_KINDS[recipe.kind]}; {trained.parameters:,} parameters. Input: {_input(built, facts)}.",
        "",
        "## Trained on",
        _origin(recipe, facts),
        f"- {counts[0]:,} training pictures of {facts.size[0]} × {facts.size[1]}; {counts[1]:,} to choose weights by, "
        f"{counts[2]:,} for the figures below.",
        *([f"- Classes: {', '.join(facts.classes.names)}."] if facts.classes and recipe.kind in MASKED else []),
        *([f"- Conditions: {', '.join(facts.conditions)}."] if facts.conditions else []),
        "",
        "## How",
        f"- {recipe.architecture}{_model(recipe)}; {_loss(recipe)}.",
        f"- {_optimiser(recipe)}, batches of {recipe.batch}, {trained.steps:,} step{'s' * (trained.steps != 1)} in "
        f"{trained.epochs} epoch{'s' * (trained.epochs != 1)}"
        + (", stopped early" if trained.early else "")
        + f"; seed {recipe.seed}, precision {recipe.precision}.",
        f"- The weights are those of step {trained.best_step:,}, which were the best on the validation pictures.",
        f"- {trained.seconds:,.0f} seconds on {trained.provenance['device']}.",
        "- Every setting: recipe.toml beside this card. Again: seglens train "
        f"{recipe.kind} {where} --recipe recipe.toml --out OUT",
        "",
        f"## On {counts[2]:,} pictures that it has not seen",
        "| figure | value |",
        "|---|---|",
        *(f"| {_title(name, recipe)} | {value:.4g} |" for name, value in trained.figures.items()),
    ]
    if trained.per_class:
        lines += ["", "| class | IoU |", "|---|---|"]
        lines += [f"| {n} | {'–' if v is None else f'{v:.3f}'} |" for n, v in trained.per_class.items()]
    lines += ["", "## Use and limits", *_limits(recipe, facts), "", "## Licence", _licence(facts), "", "## Versions"]
    lines += [f"- {name} {value}" for name, value in trained.provenance.items() if name != "device"]
    lines += [f"- opened by: seglens.load({Folder(trained.folder).network.name!r})"]
    return "\n".join(lines) + "\n"


def _title(figure: str, recipe: Recipe) -> str:
    if figure.startswith("scale"):
        return f"attention loss of scale {figure.removeprefix('scale')}"
    return _FIGURES.get(figure, figure).format(reconstruction=recipe.loss.reconstruction)


def _input(built: Built, facts: Facts) -> str:
    c = built.convention
    colours = {1: "grey", 3: "RGB"}.get(facts.channels, f"{facts.channels} channels")
    scaled = "" if c.mean[0] == 0 and c.std[0] == 1 else f", less {c.mean[0]:g}, over {c.std[0]:g}"
    return f"{colours}, values in 0..1{scaled}; {facts.size[0]} × {facts.size[1]}"


def _origin(recipe: Recipe, facts: Facts) -> str:
    name = recipe.data.name
    if facts.built_in:
        return f"- {name}: a built-in set, made by rule by seglens (seed {recipe.data.seed}). No photograph is in it."
    return f"- {name.partition(':')[0]}, read from a folder of whoever trained it."


def _model(recipe: Recipe) -> str:
    said = ", ".join(f"{key} {value}" for key, value in recipe.model.items())
    return f" ({said})" if said else ""


def _loss(recipe: Recipe) -> str:
    loss = recipe.loss
    text = f"loss {loss.reconstruction}"
    if recipe.kind != "segmenter":
        text += f" + {loss.beta:g} KL"
        text += f" (from 0 over the first {loss.warmup:,} steps)" if loss.warmup else ""
        text += f", {loss.free_bits:g} nats a unit free" if loss.free_bits else ""
    if recipe.kind == "mgrad2vae":
        text += f" + {loss.attention:g} attention + {loss.scales:g} scales"
    return text


def _optimiser(recipe: Recipe) -> str:
    o = recipe.optimiser
    text = f"{ {'adamw': 'AdamW', 'adam': 'Adam', 'sgd': 'SGD'}[o.name] } at {o.rate:g}, {o.schedule}"
    return text + (f", gradients clipped to {o.clip:g}" if o.clip else "")


def _limits(recipe: Recipe, facts: Facts) -> list[str]:
    lines = ["- Made to be explained and explored, not to decide anything about anybody."]
    if facts.built_in:
        lines.append("- It has seen nothing but pictures made by rule: on photographs it does not mean anything.")
    else:
        lines.append("- It knows what its training pictures show, with their gaps and biases, and nothing else.")
    if recipe.kind in ("vae", "cvae"):
        lines.append("- Reconstructions are blurred: small and rare things are the first to be lost.")
    if recipe.kind == "mgrad2vae":
        lines.append(
            "- Its attention is trained towards the masks: that it lies on a class does not show by itself that the "
            "second-order derivatives put it there."
        )
    return lines


def _licence(facts: Facts) -> str:
    if facts.built_in:
        return "Apache-2.0, like seglens, which makes the data too."
    return "Not stated: it follows from the licence of the pictures, which whoever trained it is to add here."
