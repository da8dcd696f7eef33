"""Two sets of images compared: the numbers are those of torch-fidelity, clean-fid and prdc."""

import shutil

import numpy as np
import prdc
import pytest
import torch
from PIL import Image

from ganctl import compare_images, features
from ganctl.errors import CheckpointError, DataError, PackageError, UsageError
from ganctl.evaluation import comparison


class Network(features.FeatureNetwork):
    """Features of noise: the mean of each of 4 x 3 fields of the image."""

    name, digest = "fields", "0"

    def __call__(self, images):
        scaled = images.permute(0, 3, 1, 2).float().mean(1, keepdim=True) / 30
        found = torch.nn.functional.adaptive_avg_pool2d(scaled, (4, 3)).flatten(1)
        return found, found


@pytest.fixture(autouse=True)
def network(monkeypatch):
    monkeypatch.setattr(features, "load", lambda *_, **__: Network())


def noise(count, size=(12, 9), seed=0, low=0):
    rng = np.random.default_rng(seed)
    fields = rng.integers(low, 256, (count, 4, 3), np.uint8)
    return fields.repeat(size[0] // 4, 1).repeat(size[1] // 3, 2)


def save(folder, images):
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.png")
    return folder


@pytest.fixture
def sets():
    """Sets of different numbers and sizes of images."""
    return noise(120, seed=1, low=40), noise(150, size=(8, 6), seed=2)


def test_numbers_agree_with_torch_fidelity_and_clean_fid(sets, monkeypatch):
    """Whole sets as a single subset, and the same k, as their defaults differ."""
    fidelity = pytest.importorskip("torch_fidelity")
    from torch_fidelity import metric_fid, metric_kid, metric_prc

    clean = pytest.importorskip("cleanfid.fid")
    a, b = sets[0], sets[1][:120]
    found = compare_images(a, b).metrics
    fake, real = (
        Network()(torch.from_numpy(one[..., None]))[0].double() for one in (a, b)
    )  # fmt: skip
    statistics = [metric_fid.fid_features_to_statistics(one) for one in (fake, real)]
    fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    assert found.frechet_distance == pytest.approx(fid["frechet_inception_distance"], rel=1e-6)
    parts = [one[name] for one in statistics for name in ("mu", "sigma")]
    assert found.frechet_distance == pytest.approx(clean.frechet_distance(*parts), rel=1e-6)
    kid = metric_kid.kid_features_to_metric(
        fake, real, kid_subsets=1, kid_subset_size=120, verbose=False
    )
    kernel = kid["kernel_inception_distance_mean"]
    assert found.kernel_distance == pytest.approx(kernel, rel=1e-9)
    kernel = clean.kernel_distance(fake.numpy(), real.numpy(), num_subsets=1, max_subset_size=120)
    assert found.kernel_distance == pytest.approx(kernel, rel=1e-9)
    overlap = metric_prc.prc_features_to_metric(fake, real, prc_neighborhood=5, verbose=False)
    assert found.precision == pytest.approx(overlap["precision"])
    assert found.recall == pytest.approx(overlap["recall"])
    expected = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=5)
    assert {name: getattr(found, name) for name in expected} == pytest.approx(expected)
    assert fidelity.__version__


def test_a_path_an_archive_and_an_array_give_the_same_numbers(sets, tmp_path):
    a, b = sets
    expected = compare_images(a, b)
    folders = save(tmp_path / "a", a), save(tmp_path / "b", b)
    shutil.make_archive(str(tmp_path / "a"), "zip", folders[0])
    np.savez(tmp_path / "b.npz", images=b)
    for one, other in (folders, (tmp_path / "a.zip", tmp_path / "b.npz")):
        found = compare_images(one, str(other))
        assert found.metrics == expected.metrics
        assert found.floor == expected.floor
        assert found.a.sizes == {"9x12": 120}
    assert found.b.name == str(tmp_path / "b.npz")


def test_the_floor_is_one_half_of_b_against_the_other(sets):
    a, b = sets
    found = compare_images(a, b)
    assert (found.metrics.num_samples, found.floor.num_samples) == (120, 75)
    assert found.floor.frechet_distance < found.metrics.frechet_distance
    assert compare_images(b[:30], b).floor == found.floor
    few = compare_images(a, b[:19])
    assert few.floor is None
    assert [row[2] for row in few.rows()] == [""] * len(few.rows())
    assert "No floor" in few.notes()[0]
    assert few.to_dict()["floor"] is None


def test_the_same_images_twice(sets, tmp_path):
    folder = save(tmp_path / "a", sets[0])
    found = compare_images(folder, folder)
    assert found.is_same
    assert found.metrics.frechet_distance == pytest.approx(0, abs=1e-6)
    assert found.metrics.precision == found.metrics.coverage == 1
    assert "the same images" in " ".join(found.notes())
    shuffled = compare_images(sets[0][::-1], sets[0])
    assert shuffled.is_same
    common = compare_images(np.concatenate([sets[0][:50], noise(40, seed=3)]), sets[0])
    assert (common.is_same, common.num_common) == (False, 50)
    assert "50 images of A are also in B" in " ".join(common.notes())


def test_gray_and_color_are_compared_alike(sets):
    a, b = sets
    colored = np.repeat(a[..., None], 3, -1)
    assert compare_images(colored, b).metrics == compare_images(a, b).metrics


def test_num_samples_limits_the_first_set(sets):
    a, b = sets
    found = compare_images(a, b, num_samples=60)
    assert (len(found.a), len(found.b)) == (60, 150)
    assert compare_images(a, b, num_samples=60).metrics == found.metrics
    with pytest.raises(UsageError, match="has 120 images, fewer than 121"):
        compare_images(a, b, num_samples=121)
    with pytest.raises(UsageError, match="at least 10 images"):
        compare_images(a, b, num_samples=9)


def test_neighbors_are_searched_among_random_images(sets, monkeypatch):
    a, b = sets
    whole = compare_images(a, b)
    assert "random images" not in " ".join(whole.notes())
    monkeypatch.setattr(comparison, "MAX_NEIGHBORS", 50)
    part = compare_images(a, b)
    assert part.metrics.frechet_distance == whole.metrics.frechet_distance
    assert part.metrics.precision != whole.metrics.precision
    assert "50 random images" in " ".join(part.notes())


def test_what_cannot_be_compared_is_refused(sets, tmp_path, monkeypatch):
    a, b = sets
    with pytest.raises(DataError, match="A has 9 images, and at least 10"):
        compare_images(a[:9], b)
    with pytest.raises(DataError, match="B has 3 images"):
        compare_images(a, b[:3])
    with pytest.raises(DataError, match="nothing at"):
        compare_images(a, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="it is empty"):
        compare_images(a, tmp_path / "empty")
    (save(tmp_path / "bad", a[:12]) / "x.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 13 files"):
        compare_images(a, tmp_path / "bad")
    assert compare_images(a, tmp_path / "bad", skip_bad=True).b.num_skipped == 1
    with pytest.raises(UsageError, match="is a checkpoint"):
        compare_images(a, "ckpt.pt")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        compare_images("ckpt.pt", b)
    with pytest.raises(UsageError, match="samples of a checkpoint"):
        compare_images(a, b, ema=True)
    with pytest.raises(UsageError, match="in the features of a network"):
        compare_images(a, b, features="none")
    monkeypatch.setattr(features, "load", lambda *_, **__: None)
    with pytest.raises(PackageError, match="efficientnet"):
        compare_images(a, b)
