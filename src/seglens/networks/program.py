"""The graph inside a `.pt2`, checked word by word: torch evaluates parts of it as Python.

`torch.export.load` resolves operator names by attribute access from `torch` (from which `os` can be
reached), and hands size expressions to `sympy.sympify`, which evaluates them. So the JSON is only
passed on where every operator is a tensor operator, every expression is arithmetic, every structure
is a plain container, and every other text is a plain name. What loading does not need is left out.
"""

import ast
import json
import re
from typing import Any, cast

from seglens.core.errors import NetworkError, UnsafeFileError

WAY_ROUND = (
    "Export the network again where it comes from, with torch.export.save; or, if you trust "
    "whoever made "
    "the file as you trust their programs, load it with trust=True."
)

# `aten` without the two operators that touch files; nothing that compiles, prints, or talks to
# other processes.
_OPERATOR = re.compile(
    r"torch\.ops\."
    r"(aten\.(?!save\b|from_file\b)|prims\.|quantized\.|_quantized\.|quantized_decomposed\.|torchvision\."
    r"|higher_order\.(?=(cond|while_loop|scan|map_impl|associative_scan|invoke_subgraph|flex_attention"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast|tag_activation_checkpoint)$))"
    r"(?!_?_?(class|init|getattr|dict|call)_)[a-zA-Z_]\w*(\.[a-zA-Z]\w*)?"
)
_SIZE_OPERATOR = re.compile(r"torch\._?sym_[a-z]+|math\.[a-z]\w*")
_PYTHON_NAMES = """
    add sub mul truediv floordiv mod pow neg pos abs getitem eq ne lt le gt ge and_ or_ not_ xor lshift
    rshift index truth matmul iadd isub imul itruediv
"""
_PYTHON_OPERATORS = frozenset("_operator." + name for name in _PYTHON_NAMES.split())
_SYMPY_NAMES = """
    Symbol Integer Float Rational Add Mul Pow Max Min Eq Ne Lt Le Gt Ge And Or Not Abs Piecewise
    ExprCondPair Tuple floor ceiling Equality Unequality StrictLessThan LessThan StrictGreaterThan
    GreaterThan FloorDiv ModularIndexing Where PythonMod Mod CleanDiv CeilToInt FloorToInt CeilDiv
    LShift RShift PowByNatural FloatPow FloatTrueDiv IntTrueDiv IsNonOverlappingAndDenseIndicator
    TruncToFloat TruncToInt RoundToInt RoundDecimal ToFloat Identity
"""
_FUNCTIONS = frozenset(_SYMPY_NAMES.split())
_SYNTAX = (
    ast.Expression,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.Call,
    ast.keyword,
    ast.BinOp,
    ast.UnaryOp,
    ast.Compare,
    ast.BoolOp,
    ast.Tuple,
    ast.operator,
    ast.unaryop,
    ast.cmpop,
    ast.boolop,
)
_CONTAINERS = frozenset(
    {
        "builtins.tuple",
        "builtins.list",
        "builtins.dict",
        "collections.OrderedDict",
        "torch.fx.immutable_collections.immutable_list",
        "torch.fx.immutable_collections.immutable_dict",
    }
)
_PLAIN = re.compile(r"[\w.@\- /+]*")
_MODULE_STACK = re.compile(r"[\w.@\-,;\[\]'\"()<> ]*")
# Arguments of operators that are text ('bilinear', an einsum's equation): handed over as values,
# never read as code.
_VALUES = frozenset({"as_string", "as_strings"})


def checked_program(raw: bytes, name: str) -> bytes:
    """The serialised graph without what could run code. name: of the file, for messages.

    Raises UnsafeFileError with the offending word, NetworkError where it is no such JSON.
    """
    return json.dumps(checked_json(raw, name)).encode()


def checked_json(raw: bytes, name: str) -> dict[str, Any]:
    """One JSON member of a `.pt2`, every word of it checked."""
    try:
        parsed = json.loads(raw)
    except ValueError as failed:
        raise NetworkError(
            f"{name} is damaged: its graph is no JSON ({failed}).\n  Copy or download it again."
        ) from failed
    if not isinstance(parsed, dict):
        raise NetworkError(f"{name} is damaged: its graph is a {type(parsed).__name__}.")
    try:
        return cast("dict[str, Any]", _checked(parsed, "", name))
    except RecursionError as failed:
        raise NetworkError(f"{name} is damaged: its graph is nested without end.") from failed


def _checked(node: object, key: str, name: str) -> object:
    if isinstance(node, dict):
        inner = cast("dict[str, object]", node)
        if key == "metadata":
            inner = {k: v for k, v in inner.items() if k == "nn_module_stack"}
        for k in inner:
            if not _PLAIN.fullmatch(k):
                _expression(k, name)
        return {k: _checked(v, k, name) for k, v in inner.items()}
    if isinstance(node, list):
        if key == "guards_code":
            # Python source; the sizes that it holds are in the range constraints as well.
            return []
        return [_checked(v, key, name) for v in cast("list[object]", node)]
    return _word(node, key, name) if isinstance(node, str) else node


def _word(text: str, key: str, name: str) -> str:
    if key in ("target", "as_operator"):
        if not (_OPERATOR.fullmatch(text) or _SIZE_OPERATOR.fullmatch(text) or text in _PYTHON_OPERATORS):
            raise _refused(name, f"it calls {text[:80]!r}, which is not among the tensor operators")
    elif key == "expr_str":
        _expression(text, name)
    elif key in ("in_spec", "out_spec"):
        return _structure(text, name)
    elif key == "nn_module_stack":
        if not _MODULE_STACK.fullmatch(text):
            raise _refused(name, f"a layer has the name {text[:80]!r}")
    elif key not in _VALUES and not _PLAIN.fullmatch(text):
        raise _refused(name, f"its entry {key!r} is {text[:80]!r}, where a plain name is expected")
    return text


def _expression(text: str, name: str) -> None:
    """Refuse an expression that is more than arithmetic on symbols."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _refused(name, f"{text[:80]!r} stands for a size") from None
    for node in ast.walk(tree):
        fine = isinstance(node, _SYNTAX)
        if isinstance(node, ast.Call):
            fine = isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
            quoting = fine and cast(ast.Name, node.func).id in ("Symbol", "Integer", "Float")
            # A text elsewhere would be evaluated once more.
            fine = fine and (quoting or not any(_is_text(a) for a in node.args))
        elif isinstance(node, ast.keyword):
            fine = isinstance(node.value, ast.Constant) and not _is_text(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            fine = bool(re.fullmatch(r"[\w.+\-]{1,64}", node.value))
        if not fine:
            raise _refused(name, f"{text[:80]!r} stands for a size, and is more than arithmetic")
    # Outside a call of Symbol, Integer or Float a text has no business here.
    quoted = {id(arg) for n in ast.walk(tree) if isinstance(n, ast.Call) for arg in n.args}
    if any(_is_text(n) and id(n) not in quoted for n in ast.walk(tree)):
        raise _refused(name, f"{text[:80]!r} stands for a size")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _structure(text: str, name: str) -> str:
    """A container description with nothing in it that is looked up and called."""
    try:
        parsed = json.loads(text)
    except ValueError:
        raise _refused(name, f"the structure {text[:80]!r} is no JSON") from None
    _containers(parsed, name)
    return json.dumps(parsed)


def _containers(node: object, name: str) -> None:
    if isinstance(node, list):
        for item in cast("list[object]", node):
            _containers(item, name)
    elif isinstance(node, dict):
        inner = cast("dict[str, Any]", node)
        if inner.get("type") is not None and inner["type"] not in _CONTAINERS:
            raise _refused(
                name,
                f"its input or output is a {str(inner['type'])[:80]!r}; expected tensors, tuples, lists, dicts",
            )
        context = inner.get("context")
        if context is not None and not re.fullmatch(r"[\w.\-\[\]\", ]*", str(context)):
            raise _refused(name, f"the structure of its input or output holds {str(context)[:80]!r}")
        _containers(inner.get("children_spec"), name)


def _refused(name: str, why: str) -> UnsafeFileError:
    return UnsafeFileError(f"{name} could run code when opened, so it was not: {why}.\n  {WAY_ROUND}")
