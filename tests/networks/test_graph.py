"""The dataflow graph: answers known by hand, torch.export's own graph, and what collapsing must keep."""

import json
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from seglens.core.errors import LayerNotFoundError, NameNotFoundError, NetworkError, ParameterError
from seglens.core.network import Network
from seglens.networks.graph import Graph, graph_of
from seglens.networks.layers import layers_of
from seglens.networks.load import load
from seglens.testing import untouched


def graph(module: nn.Module, x: Tensor | None = None, **how) -> Graph:
    return graph_of(Network(module=module, **how), torch.rand(1, 3, 16, 16) if x is None else x)


def pairs(g: Graph) -> list[tuple[str, str]]:
    return [(e.source, e.target) for e in g.edges]


def nodes(g: Graph):
    return {n.id: n for n in g.nodes}


def conv(i: int = 3, o: int = 3) -> nn.Conv2d:
    return nn.Conv2d(i, o, 3, padding=1)


class Plain(nn.Module):
    """A module made of parts by name and a forward given as a function."""

    def __init__(self, run, **parts) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            if isinstance(part, nn.Module):
                self.add_module(name, part)
            else:
                setattr(self, name, nn.Parameter(part))

    def forward(self, *inputs: Tensor):
        return self.run(self, *inputs)


def test_the_skips_of_a_unet_arrive_at_their_concatenations() -> None:
    g = graph_of(load("streets-unet"), torch.rand(1, 3, 32, 32))
    skips = [e for e in g.edges if e.source.startswith("encoder") and e.target.startswith("decoder")]
    assert [(e.source, e.target, e.position, e.shapes) for e in skips] == [
        (f"encoder.block{b}.1.2", f"decoder:cat#{4 - b}", 1, ((1, c, n, n),))
        for b, c, n in [(4, 64, 4), (3, 48, 8), (2, 32, 16), (1, 16, 32)]
    ]
    # the other operand of each is what was resized before
    assert [(s, t) for s, t in pairs(g) if "cat" in t and "interpolate" in s] == [
        (f"decoder:interpolate#{k}", f"decoder:cat#{k}") for k in range(4)
    ]
    pools = [n for n in g.nodes if n.path == "encoder.pool"]
    assert [(n.id, n.call, n.calls, n.stride) for n in pools] == [
        (f"encoder.pool#{k}", k, 3, (2 ** (k + 1),) * 2) for k in range(3)
    ]
    assert Counter(n.kind for n in g.nodes) == {
        "input": 1, "output": 1, "convolution": 19, "normalisation": 18, "activation": 18, "pooling": 4,
        "resize": 4, "join": 4,
    }  # fmt: skip


def test_a_residual_sum_reads_both_its_branches_in_order() -> None:
    g = graph(Plain(lambda m, x: F.relu(m.a(x) + x), a=conv()))
    assert pairs(g) == [
        (":input", "a"), ("a", ":add"), (":input", ":add"), (":add", ":relu"), (":relu", ":output"),
    ]  # fmt: skip
    assert [e.position for e in g.edges if e.target == ":add"] == [0, 1]
    assert [nodes(g)[i].kind for i in ("a", ":add", ":relu")] == ["convolution", "join", "activation"]


def test_concatenation_keeps_the_order_of_its_arguments_and_what_is_read_twice() -> None:
    g = graph(Plain(lambda m, x: (lambda y: torch.cat([x, y, x], 1))(m.a(x)), a=conv(3, 5)))
    read = [(e.source, e.position, e.shapes[0][1]) for e in g.edges if e.target == ":cat"]
    assert read == [(":input", 0, 3), ("a", 1, 5), (":input", 2, 3)]
    assert g.collapsed(5) == g


def test_a_module_that_runs_three_times_is_three_nodes_with_one_modules_parameters() -> None:
    g = graph(Plain(lambda m, x: m.a(m.a(m.a(x))), a=conv()))
    assert pairs(g) == [(":input", "a#0"), ("a#0", "a#1"), ("a#1", "a#2"), ("a#2", ":output")]
    assert [n.parameters for n in g.nodes if n.path == "a"] == [84] * 3
    assert g.parameters == 84
    assert [n.field for n in g.nodes if n.path == "a"] == [(3, 3), (5, 5), (7, 7)]


def test_writing_in_place_is_seen_by_every_view_of_the_memory() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        y = m.a(x)
        early = m.b(y)
        y[:, :2].relu_()
        return early + m.b(y)

    g = graph(Plain(run, a=conv(), b=conv()))
    assert pairs(g) == [
        (":input", "a"), ("a", "b#0"), ("a", ":relu"), (":relu", "b#1"), ("b#0", ":add"), ("b#1", ":add"),
        (":add", ":output"),
    ]  # fmt: skip
    inplace = graph(nn.Sequential(conv(), nn.ReLU(inplace=True), conv()))
    assert pairs(inplace) == [(":input", "0"), ("0", "1"), ("1", "2"), ("2", ":output")]


def test_a_part_written_into_joins_what_was_there() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        y = torch.zeros(1, 6, 16, 16)
        y[:, :3] = m.a(x)
        y[:, 3:] = m.b(x)
        return m.c(y)

    g = graph(Plain(run, a=conv(), b=conv(), c=conv(6, 2)))
    assert set(pairs(g)) == {
        (":input", "a"), (":input", "b"), ("a", ":write#0"), (":write#0", ":write#1"), ("b", ":write#1"),
        (":write#1", "c"), ("c", ":output"),
    }  # fmt: skip


def test_layouts_melt_into_the_edges_and_shapes_say_what_arrived() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        q, k = m.a(x).flatten(2).transpose(1, 2).chunk(2, 1)
        return m.b(q.contiguous()) + k.to(torch.float32)[..., :2]

    g = graph(Plain(run, a=conv(), b=nn.Linear(3, 2)))
    assert [(*pair, e.shapes[0]) for pair, e in zip(pairs(g), g.edges, strict=True)] == [
        (":input", "a", (1, 3, 16, 16)),
        ("a", "b", (1, 128, 3)),
        ("b", ":add", (1, 128, 2)),
        ("a", ":add", (1, 128, 2)),
        (":add", ":output", (1, 128, 2)),
    ]


def test_layers_that_do_nothing_are_named_and_are_no_nodes() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        return m.flat(m.drop(m.a(x)) + m.same(x))

    g = graph(Plain(run, a=conv(), drop=nn.Dropout(), same=nn.Identity(), flat=nn.Flatten()))
    assert g.idle == ("drop", "same")
    assert [n.id for n in g.nodes] == [":input", "a", ":add", "flat", ":output"]
    assert pairs(g)[1:] == [("a", ":add"), (":input", ":add"), (":add", "flat"), ("flat", ":output")]
    assert nodes(g)["flat"].shape == (1, 768)


def test_a_branch_that_nobody_reads_stays_with_its_loose_end() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        F.softmax(m.unread(x), 1)
        return m.a(x)

    g = graph(Plain(run, a=conv(), unread=conv()))
    assert pairs(g) == [(":input", "unread"), ("unread", ":softmax"), (":input", "a"), ("a", ":output")]


def test_constants_are_no_nodes_and_their_parameters_count_where_they_are_read() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        grid = torch.linspace(-1, 1, 16).exp() * m.scale
        return m.a(x * torch.ones_like(x)) * grid * m.gamma.view(1, 3, 1, 1)

    g = graph(Plain(run, a=conv(), scale=torch.ones(16), gamma=torch.ones(3)))
    assert pairs(g) == [
        (":input", ":mul#0"), (":mul#0", "a"), ("a", ":mul#1"), (":mul#1", ":mul#2"), (":mul#2", ":output"),
    ]  # fmt: skip
    assert [nodes(g)[f":mul#{k}"].parameters for k in range(3)] == [0, 16, 3]
    assert nodes(g)[":mul#1"].kind == "other"


def test_layers_without_an_input_are_nodes_all_the_same() -> None:
    g = graph(Plain(lambda m, x: m.a(x) + m.b(m.learned), a=conv(), b=conv(), learned=torch.rand(1, 3, 16, 16)))
    assert ("b", ":add") in pairs(g)
    assert not [s for s, t in pairs(g) if t == "b"]
    assert nodes(g)["b"].field is None


def test_functional_layers_are_operations_with_their_parameters() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        x = F.conv2d(x, m.w, stride=2, dilation=2)
        return F.linear(F.max_pool2d(x, 2).mean((2, 3)), m.v)

    g = graph(Plain(run, w=torch.rand(4, 3, 3, 3), v=torch.rand(2, 4)))
    told = [(n.type, n.kind, n.detail, n.parameters) for n in g.nodes[1:-1]]
    assert told == [
        ("convolution", "convolution", "3×3, stride 2, dilation 2", 108),
        ("max_pool2d", "pooling", "2×2, stride 2", 0),
        ("mean", "pooling", "", 0),
        ("linear", "linear", "", 8),
    ]
    assert g.groups == ()


def test_a_module_without_parts_is_one_layer_unless_it_hides_several() -> None:
    def norm(m: nn.Module, x: Tensor) -> Tensor:
        return (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1).sqrt()

    def attention(m: nn.Module, x: Tensor) -> Tensor:
        rows = x.flatten(2)
        return ((rows.transpose(1, 2) @ rows).softmax(-1) @ rows.transpose(1, 2)).transpose(1, 2).view_as(x)

    g = graph(nn.Sequential(Plain(norm), Plain(attention), nn.Softmax(1)))
    assert [n.id for n in g.nodes] == [":input", "0", "1:matmul#0", "1:softmax", "1:matmul#1", "2", ":output"]
    assert [(x.id, x.type) for x in g.groups] == [("1", "Plain")]
    whole = graph(nn.TransformerEncoderLayer(8, 2, 16), torch.rand(4, 3, 8))
    assert "MultiheadAttention" in [n.type for n in whole.nodes]


@pytest.mark.parametrize("pack", ["tuple", "dict", "nested"])
def test_outputs_are_named_by_their_place_and_the_scores_are_marked(pack: str) -> None:
    def run(m: nn.Module, x: Tensor):
        out, aux = m.a(x), m.b(x)
        if pack == "tuple":
            return aux, out
        return {"aux": aux, "out": out} if pack == "dict" else {"out": out, "more": [aux, x]}

    g = graph(Plain(run, a=conv(), b=conv()), output=1 if pack == "tuple" else None)
    ends = {n.detail: (next(s for s, t in pairs(g) if t == n.id), n.explained) for n in g.nodes if n.kind == "output"}
    assert (
        ends
        == {
            "tuple": {"0": ("b", False), "1": ("a", True)},
            "dict": {"aux": ("b", False), "out": ("a", True)},
            "nested": {"out": ("a", True), "more.0": ("b", False), "more.1": (":input", False)},
        }[pack]
    )


def test_two_inputs_are_two_nodes_and_the_explained_one_is_marked() -> None:
    module = Plain(lambda m, z, x: m.a(x) + m.b(z), a=conv(), b=conv())
    g = graph(module, extra=(torch.rand(1, 3, 16, 16),), explained=1)
    assert [(n.id, n.explained) for n in g.nodes[:2]] == [(":input#0", False), (":input#1", True)]
    assert set(pairs(g)) >= {(":input#0", "b"), (":input#1", "a"), ("a", ":add"), ("b", ":add")}
    assert (nodes(g)["a"].field, nodes(g)["b"].field) == ((3, 3), None)


class Lists(nn.Module):
    """Lists that are never called: one whose layers run in a row, and two that run in turns."""

    def __init__(self) -> None:
        super().__init__()
        self.row = nn.ModuleList([conv() for _ in range(3)])
        self.left, self.right = (nn.ModuleList([nn.Sequential(conv()), nn.Sequential(conv())]) for _ in range(2))
        self.heads = nn.ModuleList([conv(), conv()])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.row:
            x = F.relu(layer(x))
        for a, b in zip(self.left, self.right, strict=True):
            x = b(a(x))
        return torch.cat([F.relu(head(x)) for head in self.heads])


def test_a_list_is_a_group_where_its_layers_run_in_a_row() -> None:
    module = Lists()
    module.forward = lambda x: Lists.forward(module, x)[:1]
    g = graph(module)
    assert [(x.id, x.type) for x in g.groups] == [
        ("row", "ModuleList"), ("left.0", "Sequential"), ("right.0", "Sequential"), ("left.1", "Sequential"),
        ("right.1", "Sequential"), ("heads", "ModuleList"),
    ]  # fmt: skip
    # operations on the way between a list's layers belong to it; those that only leave it do not
    assert [n.id for n in g.nodes if n.group == "row"] == ["row.0", ":relu#0", "row.1", ":relu#1", "row.2"]
    assert [n.id for n in g.nodes if n.group == "heads"] == ["heads.0", "heads.1"]
    assert [n.id for n in g.collapsed(1).nodes] == [
        ":input", "row", ":relu#2", "left.0", "right.0", "left.1", "right.1", "heads", ":relu#3", ":relu#4",
        ":cat", ":output",
    ]  # fmt: skip
    check_order(g)


def test_groups_of_one_list_in_pieces_have_names_of_their_own() -> None:
    module = Plain(
        lambda m, x: m.a[3](m.a[2](m.b(m.a[1](m.a[0](x))))), a=nn.ModuleList([conv() for _ in range(4)]), b=conv()
    )
    g = graph(module)
    assert [(x.id, x.path, x.parameters) for x in g.groups] == [("a~0", "a", 168), ("a~1", "a", 168)]
    assert pairs(g.collapsed(1)) == [(":input", "a~0"), ("a~0", "b"), ("b", "a~1"), ("a~1", ":output")]
    assert [n.id for n in g.collapsed(groups=["a"]).nodes] == [n.id for n in g.collapsed(1).nodes]


def test_receptive_fields_and_shapes_are_those_of_the_layer_tree() -> None:
    net = load("streets-deeplab")
    x = torch.rand(1, 3, 48, 48)
    g = graph_of(net, x)
    tree = {a.path: a for a in layers_of(net, x)}
    watched = [*(n for n in g.nodes if n.id == n.path), *(q for q in g.groups if q.id == q.path)]
    assert len(watched) > 70
    for a in watched:
        if tree[a.path].runs:  # a list of layers never runs
            told = (a.type, a.shape, a.field, a.stride, a.parameters)
            layer = tree[a.path]
            assert told == (layer.type, layer.shape, layer.field, layer.stride, layer.parameters), a.path


# Compared with torch.export


LAYOUT = {"expand", "expand_as", "flatten", "view", "reshape", "getitem", "dropout", "unsqueeze"}
SAME = {"upsample_bilinear2d": "interpolate", "conv2d": "convolution", "add_": "add", "relu_": "relu"}


def exported_edges(module: nn.Module, x: Tensor) -> set[tuple[str, str]]:
    """Edges between leaf modules and operations outside these, from the graph that torch.export traces."""
    program = torch.export.export(module.eval(), (x,))
    leaves = {path for path, m in module.named_modules() if not list(m.children())}
    entered: dict[str, set[str]] = {}
    name: dict[object, str | None] = {}
    edges: set[tuple[str, str]] = set()
    found: list[tuple[object, str]] = []
    for node in program.graph.nodes:
        if node.op == "placeholder":
            name[node] = ":input" if node.name in program.graph_signature.user_inputs else None
            continue
        read = [name[n] for n in node.all_input_nodes if name.get(n)]
        if node.op == "output":
            edges |= {(s, ":output") for s in read}
            continue
        scope, _ = list(node.meta["nn_module_stack"].values())[-1]
        key = list(node.meta["nn_module_stack"])[-1]
        operation = getattr(node.target, "__name__", str(node.target)).partition(".")[0]
        if scope in leaves:
            entered.setdefault(scope, set()).add(key)
            name[node] = f"{scope}@{key}"
        elif operation in LAYOUT:
            name[node] = read[0] if read else None
            continue
        else:
            name[node] = f"{scope}:{SAME.get(operation, operation)}@{node.name}"
        found.append((node, name[node]))
        edges |= {(s, name[node]) for s in read if s != name[node]}
    order: dict[str, dict[str, int]] = {}
    for _, long in found:
        short = long.partition("@")[0]
        order.setdefault(short, {}).setdefault(long, len(order.get(short, {})))

    def final(long: str) -> str:
        short = long.partition("@")[0]
        return f"{short}#{order[short][long]}" if len(order.get(short, {})) > 1 else short

    return {(final(s), final(t)) for s, t in edges}


class Reused(nn.Module):
    """One block and one activation that run several times, a sum, a product and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(conv(), nn.BatchNorm2d(3))
        self.act = nn.ReLU(inplace=True)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.Sigmoid())
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.block(x))
        z = self.act(self.block(y) + y)
        return self.head(torch.cat([z * self.gate(z), y], 1))


@pytest.mark.parametrize("which", ["streets-unet", "streets-deeplab", "reused"])
def test_edges_are_those_that_torch_export_traces(which: str) -> None:
    net = Network(module=Reused()) if which == "reused" else load(which)
    x = torch.rand(1, 3, 32, 32)
    expected = exported_edges(net.module, x)
    assert len(expected) > 10
    assert set(pairs(graph_of(net, x))) == expected


# What collapsing keeps


class Branches(nn.Module):
    """Runs its parts side by side and adds what they give."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part(x) for part in self.parts]).sum(0) + x


class Twice(nn.Module):
    """Runs its part twice, with what came before added."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        return self.part(self.part(x)).relu() + x


modules = st.recursive(
    st.builds(lambda: nn.Conv2d(2, 2, 1)) | st.builds(nn.ReLU),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: nn.Sequential(*parts))
        | st.lists(inner, min_size=1, max_size=3).map(Branches)
        | inner.map(Twice)
    ),
    max_leaves=6,
)


def check_order(g: Graph) -> None:
    """Edges lead forward, and the nodes of every group stand together."""
    place = {n.id: i for i, n in enumerate(g.nodes)}
    assert all(place[e.source] < place[e.target] for e in g.edges)
    parent = {q.id: q.parent for q in g.groups}
    held: dict[str, list[int]] = {q.id: [] for q in g.groups}
    for n in g.nodes:
        at = n.group
        while at is not None:
            held[at].append(place[n.id])
            at = parent[at]
    assert all(v == list(range(v[0], v[0] + len(v))) for v in held.values())
    ids = [*place, *held]
    assert len(set(ids)) == len(ids)


@settings(max_examples=40, deadline=None)
@given(modules, st.integers(1, 6), st.randoms(use_true_random=False))
def test_collapsing_is_the_naive_projection(module: nn.Module, depth: int, random) -> None:
    g = graph_of(Network(module=nn.Sequential(module, nn.Conv2d(2, 2, 1))), torch.rand(1, 2, 2, 2))
    chosen = {q.id for q in g.groups if random.random() < 0.2}
    check_order(g)
    cut = g.collapsed(depth, chosen)
    check_order(cut)
    group = {q.id: q for q in g.groups}

    def representative(node) -> str:
        chain, at = [], node.group
        while at is not None:
            chain.append(at)
            at = group[at].parent
        shut = [gid for gid in chain if gid in chosen or len(group[gid].path.split(".")) >= depth]
        return shut[-1] if shut else node.id

    of = {n.id: representative(n) for n in g.nodes}
    assert {n.id for n in cut.nodes} == set(of.values())
    assert Counter(of.values()) == {n.id: n.contains for n in cut.nodes}
    expected: Counter[tuple[str, str]] = Counter()
    shapes: dict[tuple[str, str], set] = {}
    for e in g.edges:
        pair = (of[e.source], of[e.target])
        if pair[0] != pair[1]:
            expected[pair] += 1
            shapes.setdefault(pair, set()).update(e.shapes)
    counted: Counter[tuple[str, str]] = Counter()
    for e in cut.edges:
        counted[e.source, e.target] += e.count
        assert set(e.shapes) <= shapes[e.source, e.target]
    assert counted == expected
    kept = {n.id for n in g.nodes} & set(of.values())
    assert [e for e in g.edges if {e.source, e.target} <= kept] == [
        e for e in cut.edges if {e.source, e.target} <= kept
    ]
    assert g.collapsed(g.depth) == g


def test_a_readable_depth_is_the_deepest_that_fits() -> None:
    g = graph_of(load("streets-unet"), torch.rand(1, 3, 32, 32))
    assert [len(g.collapsed(d).nodes) for d in range(1, g.depth + 1)] == [7, 25, 37, 69]
    assert [g.readable_depth(n) for n in (1, 7, 24, 25, 60, 100)] == [1, 1, 1, 2, 3, 4]
    with pytest.raises(ParameterError, match="most = 0"):
        g.readable_depth(0)
    with pytest.raises(ParameterError, match="depth = 0"):
        g.collapsed(0)
    with pytest.raises(LayerNotFoundError, match=r"no group 'encoder\.blok2'(.|\n)*'encoder\.block2'"):
        g.collapsed(groups=["encoder.blok2"])


def test_json_is_plain_and_whole(tmp_path) -> None:
    g = graph(Reused())
    read = json.loads(g.save(tmp_path / "net.json").read_text())
    assert list(read) == ["network", "type", "parameters", "nodes", "edges", "groups", "idle"]
    keys = "id kind type path group call calls parameters shape field stride detail contains explained"
    assert all(list(n) == keys.split() for n in read["nodes"])
    assert all(list(e) == ["source", "target", "position", "shapes", "count"] for e in read["edges"])
    group_keys = "id type path parent depth call calls parameters shape field stride"
    assert all(list(q) == group_keys.split() for q in read["groups"])
    assert read["nodes"][1]["stride"] == [1, 1]
    assert len(json.loads(g.save(tmp_path / "cut.json", 1).read_text())["nodes"]) == len(g.collapsed(1).nodes)
    with pytest.raises(NameNotFoundError, match=r"'net\.gif'"):
        g.save(tmp_path / "net.gif")


# What may go wrong


def test_the_network_is_left_as_it_was_also_where_it_fails() -> None:
    module = Reused().train()
    net, x = Network(module=module), torch.rand(2, 3, 16, 16)
    fast = torch.backends.mha.get_fastpath_enabled()
    with untouched(net, x):
        graph_of(net, x)
    module.head = nn.Conv2d(5, 2, 1)
    with untouched(net, x), pytest.raises(NetworkError, match="failed on the input"):
        graph_of(net, x)
    assert torch.backends.mha.get_fastpath_enabled() == fast


def test_a_part_that_fails_and_is_caught_does_not_confuse_the_rest() -> None:
    def run(m: nn.Module, x: Tensor) -> Tensor:
        try:
            m.bad(x)
        except RuntimeError:
            x = m.a(x)
        return m.b(x)

    g = graph(Plain(run, bad=nn.Sequential(conv(), conv(9, 9)), a=conv(), b=nn.Sequential(conv())))
    assert pairs(g) == [(":input", "bad.0"), (":input", "a"), ("a", "b.0"), ("b.0", ":output")]
    assert [n.group for n in g.nodes] == [None, "bad", None, "b", None]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_shows_its_operations() -> None:
    g = graph(torch.jit.script(nn.Sequential(conv(), nn.ReLU())))
    assert [(n.type, n.parameters) for n in g.nodes] == [
        ("input", 0), ("convolution", 84), ("relu", 0), ("output", 0),
    ]  # fmt: skip
    assert pairs(g) == [(":input", ":convolution"), (":convolution", ":relu"), (":relu", ":output")]


@pytest.mark.filterwarnings("ignore::seglens.core.errors.GuessWarning")
def test_an_exported_program_keeps_layers_and_types(tmp_path) -> None:
    module, x = Reused().eval(), torch.rand(1, 3, 16, 16)
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "net.pt2")
    g = graph_of(load(tmp_path / "net.pt2"), x)
    direct = graph(module, x)
    kinds = [(n.kind, n.parameters) for n in direct.nodes]
    assert [(n.kind, n.parameters) for n in g.nodes] == kinds
    assert len(g.edges) == len(direct.edges)
    assert {n.type for n in g.nodes} >= {"Conv2d", "BatchNorm2d", "Sigmoid"}
