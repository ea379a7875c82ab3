"""From samples to batches: what is shown, in which order, shared out among how many; and what is refused before."""

import numpy as np
import pytest
import torch
from training_toys import Shapes, changes, splits

from seglens.core.errors import ParameterError
from seglens.core.progress import watching
from seglens.run.training.building import build
from seglens.run.training.data import InTurn, Order, Pictures, facts_of, loader
from seglens.run.training.fit import settled, steps_of
from seglens.run.training.objective import Shown, class_weights
from seglens.run.training.presets import preset


def recipe(kind, **more):
    return preset(kind, "shapes").with_(changes(kind, **more))


def joined(batches):
    return [index for batch in batches for index in batch]


def order(first, last, seed=0, n=13, rank=0, world=1):
    return list(Order(n, 4, seed, first, last, rank, world))


def test_each_epoch_shows_other_pictures_once_and_leaves_over_what_fills_no_batch():
    steps = order(0, 6)
    one, two = joined(steps[:3]), joined(steps[3:])
    assert len(one) == len(set(one)) == 12
    assert one != two
    assert set(one) | set(two) <= set(range(13))
    left_over = {(set(range(13)) - set(joined(order(3 * e, 3 * e + 3)))).pop() for e in range(20)}
    assert len(left_over) > 3
    assert steps != order(0, 6, seed=1)


def test_the_order_from_any_step_on_is_that_of_the_whole():
    whole = order(0, 9)
    for first in range(9):
        assert order(first, 9) == whole[first:]


def test_processes_share_a_batch_out():
    whole = order(0, 4)
    parts = [order(0, 4, rank=rank, world=2) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        assert sorted(parts[0][step] + parts[1][step]) == sorted(batch)
        assert len(parts[0][step]) == len(parts[1][step]) == 2
    turns = [list(InTurn(10, 4, rank, 2)) for rank in (0, 1)]
    assert sorted(joined(turns[0] + turns[1])) == list(range(10))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_set_s_own_pictures(keep, workers):
    own = Shapes(9)
    facts = facts_of(splits(), recipe("cvae", **{"data.conditions": ["left", "disc"]}))
    pictures = Pictures(own, facts, "pictures", masks=True, keep=keep)
    assert pictures.kept is keep
    batches = list(loader(pictures, InTurn(9, 4), workers))
    assert [len(b.image) for b in batches] == [4, 4, 1]
    for place in range(9):
        batch, at = batches[place // 4], place % 4
        sample = own[place]
        assert np.array_equal(batch.image[at].numpy().transpose(1, 2, 0), sample.image)
        assert np.array_equal(batch.labels[at].numpy(), sample.labels)
        assert batch.condition[at].tolist() == [sample.attributes[2], sample.attributes[0]]


def test_what_a_kind_does_not_take_is_not_kept():
    facts = facts_of(splits(), recipe("vae"))
    batch = Pictures(Shapes(3), facts, "pictures", masks=False).__getitems__([0, 2])
    assert batch.labels.shape == batch.condition.shape == (2, 0)


def test_making_pictures_is_told():
    said = []
    facts = facts_of(splits(), recipe("vae"))
    with watching(lambda *told: said.append(told)):
        Pictures(Shapes(3), facts, "training pictures", masks=False)
    assert said == [("training pictures", n, 3) for n in (1, 2, 3)]


def test_a_mirrored_picture_takes_its_labels_along():
    sample = Shapes(1)[0]
    pixels = torch.from_numpy(sample.image).permute(2, 0, 1)[None].float().repeat(2, 1, 1, 1)
    labels = torch.from_numpy(sample.labels)[None].long().repeat(2, 1, 1)
    turned = Shown(pixels, pixels, labels).mirrored(torch.tensor([True, False]))
    assert torch.equal(turned.pixels[1], pixels[1])
    assert torch.equal(turned.pixels[0], pixels[0].flip(-1))
    assert torch.equal(turned.labels, torch.stack([labels[0].flip(-1), labels[1]]))


def test_shares_of_the_classes_and_their_weights():
    facts = facts_of(splits(), recipe("segmenter"))
    shares = Pictures(Shapes(13), facts, "pictures", masks=True).shares()
    counted = np.bincount(np.concatenate([Shapes(13)[i].labels.ravel() for i in range(13)]), minlength=256)
    assert shares.numpy() == pytest.approx(counted[:3] / counted[:3].sum())
    weights = class_weights(shares, 0.5)
    assert float(weights.mean()) == pytest.approx(1)
    assert float(weights[1] / weights[0]) == pytest.approx(float((shares[0] / shares[1]) ** 0.5), rel=1e-6)
    assert class_weights(shares, 0.0) is None


def test_steps_are_counted_in_whole_batches():
    assert steps_of(recipe("vae"), 13) == 2 * 3
    assert steps_of(recipe("vae", steps=5), 13) == 5


@pytest.mark.parametrize(
    ("kind", "own", "said"),
    [
        ("mgrad2vae", splits(masks=False), "learns masks, and shapes has none.*Without masks: vae, cvae"),
        ("segmenter", splits(masks=False, named=False), "Without masks: vae[.]"),
        ("cvae", splits(named=False), "given attributes, and shapes has none"),
        ("vae", splits(0), "no train pictures"),
        ("vae", splits(3), "3 training pictures, fewer than the 4 of a batch"),
    ],
)
def test_data_that_a_kind_cannot_learn(kind, own, said):
    with pytest.raises(ParameterError, match=f"(?s){said}"):
        facts_of(own, recipe(kind))


def test_a_loss_of_masks_is_none_of_pictures():
    with pytest.raises(ParameterError, match=r"(?s)'jaccard' does not compare what a vae makes: pictures.*bce, mse"):
        facts_of(splits(), recipe("vae", **{"loss.reconstruction": "bce+jaccard"}))


def test_an_attribute_that_is_not_there_has_its_nearest():
    with pytest.raises(ParameterError, match=r"(?s)no attribute 'disk'.*'disc'"):
        facts_of(splits(), recipe("cvae", **{"data.conditions": ["disk"]}))


@pytest.mark.parametrize(
    ("kind", "more", "size", "said"),
    [
        ("vae", {}, (18, 32), "multiples of 4"),
        ("mgrad2vae", {}, (17, 32), "multiples of 2"),
        ("seg-vae", {}, (16, 30), "multiples of 4"),
        ("segmenter", {}, (16, 40), "multiples of 16.*--size 16x32"),
        ("vae", {"architecture": "BurgessVAE", "model": {}}, (16, 32), "32, 32"),
        ("vae", {"model.latnt": 3}, (16, 32), "'latent'"),
        ("segmenter", {"model.width": 3}, (16, 32), "'widths'"),
        ("vae", {"model.size": [16, 32]}, (16, 32), "told by the data"),
        ("vae", {"model.latent": 0}, (16, 32), "latent is to be >= 1"),
        ("segmenter", {"model.widths": "wide"}, (16, 32), "does not build a UNet"),
    ],
)
def test_networks_that_cannot_be_built(kind, more, size, said):
    chosen = recipe(kind, **more)
    with pytest.raises(ParameterError, match=f"(?s){said}"):
        build(chosen, facts_of(splits(size=size), chosen))


def test_pictures_of_another_size_than_the_first_are_refused():
    class Mixed(Shapes):
        def __getitem__(self, index):
            return Shapes(9, size=(16, 32 + 2 * index))[index]

    facts = facts_of(splits(), recipe("vae"))
    with pytest.raises(ParameterError, match=r"(?s)shape 1 is \[16, 34, 3\].*data\.size"):
        Pictures(Mixed(2), facts, "pictures", masks=False)


def test_the_same_seed_builds_the_same_weights_and_global_states_stay():
    chosen = recipe("vae")
    facts = facts_of(splits(), chosen)
    before = torch.get_rng_state()
    one, same, other = (build(r, facts).module.state_dict() for r in (chosen, chosen, chosen.with_({"seed": 1})))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_a_recipe_of_another_set_is_used_on_this_one_and_of_another_kind_refused():
    assert settled("vae", "faces", preset("vae", "sprites"), None).data.name == "faces"
    with pytest.raises(ParameterError, match="trains a vae, and a cvae is asked for"):
        settled("cvae", "faces", preset("vae", "faces"), None)
