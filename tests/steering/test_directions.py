import numpy as np
import pytest
import torch

from ganctl import sampling
from ganctl.errors import DataError, UsageError
from ganctl.networks import build_generator
from ganctl.steering import directions
from ganctl.steering.directions import Directions, between, moved, principal, read


def generator_of(tiny_config, preset):
    network = tiny_config(preset, num_classes=3).network
    built = build_generator(network, torch.Generator().manual_seed(1)).eval().requires_grad_(False)
    return built, network


@pytest.mark.parametrize("preset", ["fast", "dcgan", "guided"])
@pytest.mark.parametrize("method", directions.METHODS)
def test_principal_directions_are_unit_vectors_the_same_each_time(tiny_config, preset, method):
    built, network = generator_of(tiny_config, preset)
    found = principal(built, network, method, 5)
    assert found.names == ("1", "2", "3", "4", "5")
    assert np.linalg.norm(found.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert (found.vectors == principal(built, network, method, 5).vectors).all()
    assert len(principal(built, network, method, 10_000)) == network.latent_dim


def test_directions_of_the_weights_are_singular_vectors(tiny_config):
    built, network = generator_of(tiny_config, "fast")
    weight = built.layers[0].weight[:, : network.latent_dim]
    expected = torch.linalg.svd(weight).Vh[:3].numpy()
    found = principal(built, network, "weights", 3).vectors
    assert np.abs((expected * found).sum(1)) == pytest.approx(1, abs=1e-4)


def test_the_first_direction_changes_images_more_than_the_last(tiny_config):
    built, network = generator_of(tiny_config, "fast")
    found = principal(built, network, "activations", network.latent_dim).vectors
    points = sampling.inputs_of(range(64), network)
    changes = []
    for vector in (found[0], found[-1]):
        steps = points.clone()
        steps[:, : network.latent_dim] += torch.from_numpy(vector)
        changes.append(float((built(steps) - built(points)).square().mean()))
    assert changes[0] > changes[1]


@pytest.fixture
def named():
    vectors = np.eye(3, 4, dtype=np.float32)
    pixels = np.zeros((21, 8, 8, 1), np.uint8)
    return Directions(vectors, ("7", "wide", "3"), {"step": "4"}, pixels)


def test_moves_go_by_name_before_number(named):
    assert named.shift({"wide": 2, 3: -1, 1: 0.5}).tolist() == [0.5, 2, -1, 0]
    assert named.vector("7").tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("name", "hint"), [("9", "1 to 3"), (0, "1 to 3"), ("-1", "1 to 3"), ("wild", "'wide'")]
)
def test_an_unknown_direction_is_refused(named, name, hint):
    with pytest.raises(UsageError, match="there is no direction") as error:
        named.vector(name)
    assert hint in error.value.hint


def test_files_are_read_back(named, tmp_path, tiny_config):
    network = tiny_config(latent_dim=4).network
    named.save(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "directions.npz", "directions.png",
    ]  # fmt: skip
    found = read(tmp_path / "out" / "directions.npz", network)
    assert found.names == named.names
    assert (found.vectors == named.vectors).all()
    assert found.provenance["step"] == "4"
    np.savez(tmp_path / "other.npz", latents=named.vectors)
    assert read(tmp_path / "other.npz", network).names == ("1", "2", "3")
    np.savez(tmp_path / "bad.npz", latents=named.vectors, names=np.arange(3))
    with pytest.raises(DataError, match="names are int64, not texts"):
        read(tmp_path / "bad.npz", network)


def test_other_latents_are_no_directions(named, tmp_path, tiny_config):
    network = tiny_config(latent_dim=4).network
    named.save(tmp_path / "out")
    assert read(tmp_path / "out", network).names == named.names, "the folder will do"
    points = named.vectors.copy()
    points[1] *= 3
    np.savez(tmp_path / "found.npz", latents=points)
    with pytest.raises(UsageError, match=r"latents, not directions: .+ 2 has 3") as error:
        read(tmp_path / "found.npz", network)
    assert "divide each by its length" in error.value.hint


def test_directions_of_another_checkpoint_are_told(named):
    assert named.notices("abc") == []
    other = Directions(named.vectors, named.names, {"checkpoint": "0123456789abcdef"})
    (notice,) = other.notices("abc")
    assert "another checkpoint, 0123456789ab:" in notice


def test_the_sheet_has_a_row_for_each_direction(named):
    height, width, _ = named.picture().shape
    assert width % 7 == height % 3 == 0
    assert moved(np.ones(4, np.float32), named.vectors).shape == (21, 4)
    assert moved(np.ones(4, np.float32), named.vectors)[6].tolist() == [4, 1, 1, 1]


def test_between_two_sets_is_the_difference_of_their_means():
    start, end = np.zeros((2, 4), np.float32), np.zeros((3, 4), np.float32)
    end[:, 1] = 5
    assert between(start, end, "a-to-b").vectors.tolist() == [[0, 1, 0, 0]]
    with pytest.raises(UsageError, match="same mean"):
        between(start, start, "a-to-a")


def test_names_come_from_paths():
    assert directions.name_between("x/thin/", "thick.npz") == "thin-to-thick"
    assert directions.name_between(np.zeros(1), "b") == "start-to-end"
    assert directions.described({"3": 2, "thin": -0.5}) == "3=+2, thin=-0.5"
