"""Networks of the library transformers: a folder of `save_pretrained`, a model or a pipeline in memory."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from seglens.core.classes import ClassTable
from seglens.core.errors import NetworkError, UnsafeFileError
from seglens.core.network import Network
from seglens.networks.loaded import Loaded, Request
from seglens.networks.pickles import damaged
from seglens.networks.transformers.files import read_table, read_weights, without_code
from seglens.networks.transformers.input import preprocessing
from seglens.networks.transformers.layers import encoder_end
from seglens.networks.transformers.library import MASK_CLASSIFIERS, TAKEN, is_classifier, is_taken, library, quiet
from seglens.networks.transformers.module import MaskClassifier, PixelModel

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_PLACEHOLDER = re.compile(r"LABEL_\d+")


def load_folder(path: Path, request: Request) -> Loaded:
    """A model that `save_pretrained` wrote, with class names, preprocessing and size of its own files.

    Nothing is fetched. Code of the folder's own (`auto_map`) is neither read nor run without trust; with it, the
    folder's model class is taken. Weights are float32 whatever they were stored as. The library fills weights that are
    missing with random ones and merely logs it: here that is an error.
    Raises NetworkError: a model that neither segments nor classifies, weights missing or of another shape, damaged
    files; UnsafeFileError: custom code, a pickle of more than tensors; MissingExtraError.
    """
    config = read_table(path / "config.json")
    if config.get("auto_map") and not request.trust:
        raise UnsafeFileError(
            f"{path.name} brings code of its own (auto_map in its config.json), so it was not opened.\n"
            "  If you trust whoever made it as you trust their programs, load it with trust=True."
        )
    if config.get("quantization_config"):
        raise NetworkError(
            f"{path.name} holds quantised weights, through which no derivative passes.\n"
            "  Load the model that it was made from."
        )
    with_code = bool(config.get("auto_map"))
    name = _architecture(config, path) if not with_code else str(next(iter(config.get("architectures") or ["?"])))
    found = library()
    with quiet():
        model, notes = _own_code(found, path) if with_code else _built(found, name, config, path, request.trust)
        model.eval()
        processor, guessed = _processor(found, model, path)
    return _described(model, processor, path, notes, guessed)


def adapt(source: Any) -> Loaded | None:
    """The network in a model of transformers in memory, or in a pipeline, which brings its image processor too.

    For a model alone, preprocessing is read where it came from (its `name_or_path`), if that is a folder, else guessed
    from its kind. None for models that are none of its own: those are plain modules.
    """
    found = library()
    processor, guessed = None, list[str]()
    if isinstance(source, found.Pipeline):
        source, processor = source.model, source.image_processor
    if not isinstance(source, found.PreTrainedModel) or not is_taken(type(source).__name__):
        return None
    origin = Path(str(getattr(source, "name_or_path", "") or "?"))
    with quiet():
        if processor is None:
            processor, guessed = _processor(found, source, origin)
    loaded = _described(cast("nn.Module", source), processor, origin, [], guessed)
    return replace(loaded, fields={"name": type(source).__name__, **loaded.fields})


def queries(network: Network) -> Network:
    """The same network, asked about single queries of mask classification: 'query 0', 'query 1', …

    Their scores are mask logits m_q, read independently of each other (σ), so that `predicted('query 7')` is the
    region that query 7 marks, and an explanation tells why it marks it. Raises NetworkError for other networks.
    """
    module = network.module
    if not isinstance(module, MaskClassifier):
        raise NetworkError(
            f"{network.name} gives scores of classes straight away, and has no queries.\n"
            f"  Networks that have: {', '.join(MASK_CLASSIFIERS)}."
        )
    config = module.model.config
    count: int = getattr(config, "num_queries", None) or config.decoder_config.num_queries
    table = ClassTable(tuple(f"query {i}" for i in range(count)))
    return network.with_(output="queries", link="sigmoid", emits="logits", classes=table)


def _architecture(config: Mapping[str, Any], path: Path) -> str:
    """The model class of a configuration. Raises NetworkError where it is none that is taken."""
    named: object = config.get("architectures")
    names = [str(n) for n in cast("list[object]", named)] if isinstance(named, list) else []
    if len(names) == 1 and is_taken(names[0]):
        return names[0]
    what = f"a {names[0]}" if len(names) == 1 else f"a {config.get('model_type', 'network')!r} whose class is not named"
    raise NetworkError(
        f"{path.name} is {what}, which gives scores of classes neither for pixels nor for the image.\n"
        f"  Taken are: {TAKEN}.\n"
        "  Others may still be explained as modules: load(MODEL, output=…), with the model in memory."
    )


def _built(found: Any, name: str, config: Mapping[str, Any], path: Path, trust: bool) -> tuple[nn.Module, list[str]]:
    """The library's own class filled with the folder's weights."""
    maker = getattr(found, name, None)
    if maker is None:
        raise NetworkError(
            f"{path.name} is a {name}, which transformers {found.__version__} does not have.\n"
            f"  It was written by version {config.get('transformers_version', '?')}: update the library."
        )
    plain = cast("dict[str, Any]", without_code(config))
    # Heads that only help training: they would run in vain.
    plain |= {key: False for key in ("use_auxiliary_head", "output_auxiliary_logits") if key in plain}
    state = read_weights(path, trust)
    try:
        settings = maker.config_class.from_dict(plain)
        model, report = maker.from_pretrained(
            None, config=settings, state_dict=state, dtype=torch.float32, output_loading_info=True
        )
    except Exception as failed:
        raise NetworkError(
            f"{path.name} cannot be built as a {name}: {_first_line(failed)}\n"
            "  Its config.json does not fit this version of transformers, names something that would have to be "
            "fetched, or weights have other shapes."
        ) from failed
    missing, mismatched = sorted(report["missing_keys"]), sorted(str(k[0]) for k in report["mismatched_keys"])
    if missing or mismatched:
        raise NetworkError(
            f"the weights in {path.name} do not fill a {name}; the library would draw the rest at random."
            + _some("Missing", missing)
            + _some("Of another shape", mismatched)
            + "\n  Is the folder that of a trained model, or of one still to be trained for this?"
        )
    unused = sorted(k for k in report["unexpected_keys"] if "auxiliary" not in k)
    return model, [f"tensors without a place in a {name} were left out{_some('They are', unused)}"] if unused else []


def _own_code(found: Any, path: Path) -> tuple[nn.Module, list[str]]:
    """The model of a trusted folder's own class."""
    autos = ("AutoModelForSemanticSegmentation", "AutoModelForImageClassification")
    mapped = read_table(path / "config.json")["auto_map"]
    auto = next((a for a in autos if a in mapped), None)
    if auto is None:
        raise NetworkError(f"{path.name} maps neither {' nor '.join(autos)} to a class of its own (auto_map).")
    try:
        model, report = getattr(found, auto).from_pretrained(
            str(path), trust_remote_code=True, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    except Exception as failed:
        raise NetworkError(f"{path.name}, built by its own code, failed: {_first_line(failed)}") from failed
    if report["missing_keys"]:
        raise NetworkError(f"the weights in {path.name} are not all there.{_some('Missing', report['missing_keys'])}")
    return model, []


def _processor(found: Any, model: Any, folder: Path) -> tuple[Any, list[str]]:
    """The image processor of a folder, or the one that models of this kind have, with what is to be said of it."""
    written = next((folder / n for n in _PROCESSORS if (folder / n).is_file()), None)
    if written is not None:
        table = read_table(written)
        table = table.get("image_processor", table)
        try:
            pil = {"backend": "pil"} if int(found.__version__.split(".")[0]) >= 5 else {"use_fast": False}
            return found.AutoImageProcessor.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, **pil
            ), []
        except Exception:  # noqa: BLE001 - a processor's class may be the folder's own, or want files from elsewhere
            # Its settings are what counts, and they are written out.
            return table, []
    try:
        kinds: Any = found.models.auto.image_processing_auto.IMAGE_PROCESSOR_MAPPING[type(model.config)]
        # By name of what computes it, or in transformers 4 a pair of which the first computes on arrays.
        processor = kinds["pil" if isinstance(kinds, Mapping) else 0]()
    except Exception:  # noqa: BLE001 - not every kind of model has an image processor of its own
        return None, []
    if getattr(model.config, "image_size", None) is not None:
        processor.do_resize = processor.do_center_crop = False
    known = preprocessing(processor).fields
    values = f"{known.get('order', 'RGB')}, values {_few(known['range'], ' to ')}"
    return processor, [
        "how it takes images is written nowhere (preprocessor_config.json); guessed as its kind does by default: "
        f"{values}, mean {_few(known['mean'])}, std {_few(known['std'])}. State it with convention=…, which "
        "seglens.networks.transformers.convention_of(PROCESSOR) gives"
    ]


def _described(model: nn.Module, processor: Any, folder: Path, notes: list[str], guessed: list[str]) -> Loaded:
    """The model as a network, with what its configuration tells."""
    config: Any = model.config
    name = type(model).__name__
    try:
        read = preprocessing(processor, config)
    except (TypeError, ValueError, LookupError, AttributeError) as failed:
        raise damaged(f"the description of {name}'s input", failed) from failed
    fields: dict[str, Any] = {}
    if (end := encoder_end(model)) is not None:
        fields["default_layer"] = end
    problem = getattr(config, "problem_type", None) if is_classifier(name) else None
    if problem in ("multi_label_classification", "regression"):
        fields["link"] = "sigmoid" if problem == "multi_label_classification" else "none"
    classes = _classes(config)
    if classes is not None and problem != "regression":
        fields["classes"] = classes
    if name in MASK_CLASSIFIERS:
        module: nn.Module = MaskClassifier(model, _mask_size(name, config), _task_tokens(name, folder))
    else:
        module = PixelModel(model)
    return Loaded(
        module,
        convention=read.fields,
        fields=fields,
        notes=tuple(f"{name}: {note}." for note in notes),
        guesses=tuple(f"{name}: {note}." for note in (*guessed, *read.notes)),
    )


def _classes(config: Any) -> ClassTable | None:
    """Class names in the order of the channels; None where they are placeholders (LABEL_0, …).

    Names that occur twice, as 'crane' does among ImageNet's, get their number behind them. A single channel is the
    named class against the background.
    """
    table: Mapping[Any, Any] | None = getattr(config, "id2label", None)
    if not table:
        return None
    try:
        names = [str(table[i]) for i in range(len(table))]
    except KeyError:
        # Gaps in the numbering: which channel is meant cannot be told.
        return None
    if all(_PLACEHOLDER.fullmatch(n) for n in names):
        return None
    unique = [n if names.count(n) == 1 else f"{n} ({i})" for i, n in enumerate(names)]
    return ClassTable(("background", *unique) if len(unique) == 1 else tuple(unique))


def _mask_size(name: str, config: Any) -> tuple[int, int] | None:
    """The size to which the library's post-processing of that kind scales mask logits; None where it does not."""
    if name.startswith("Mask2Former"):
        return 384, 384
    return (config.image_size, config.image_size) if name.startswith("Eomt") else None


def _task_tokens(name: str, folder: Path) -> Tensor | None:
    """OneFormer's task 'semantic' in tokens [1 L], by the tokenizer in the folder; None without one."""
    if not name.startswith("OneFormer") or not any((folder / n).is_file() for n in ("tokenizer.json", "vocab.json")):
        return None
    with quiet():
        tokenizer = library().AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    path = folder / "processor_config.json"
    length = read_table(path).get("task_seq_length", 77) if path.is_file() else 77
    said = tokenizer(["the task is semantic"], padding="max_length", max_length=length, truncation=True)
    # Padding counts as token 0, as in the library's own processor.
    return torch.tensor(said["input_ids"]) * torch.tensor(said["attention_mask"])


def _some(title: str, names: Iterable[str]) -> str:
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > 4 else ""
    return f"\n  {title}: {', '.join(names[:4])}{more}." if names else ""


def _few(values: Iterable[float], between: str = ", ") -> str:
    return between.join(f"{v:.4g}" for v in values)


def _first_line(failed: Exception) -> str:
    return (str(failed).strip().partition("\n")[0] or type(failed).__name__)[:300]
