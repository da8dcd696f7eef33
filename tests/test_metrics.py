"""Metrics agree with prdc, scipy and the formulas of the papers."""

import itertools

import numpy as np
import prdc
import pytest
import scipy.linalg
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ganctl import metrics


@pytest.fixture(params=[0, 1])
def clouds(request):
    """Two sets of random features that overlap, of different sizes: (fake, real)."""
    rng = np.random.default_rng(request.param)
    mix = rng.standard_normal((12, 12))
    fake = rng.standard_normal((1203, 12)) @ mix + 0.3
    real = rng.standard_normal((1501, 12)) @ mix * 1.1
    return torch.from_numpy(fake).float(), torch.from_numpy(real).float()


def test_frechet_distance_agrees_with_scipy(clouds):
    fake, real = (cloud.double().numpy() for cloud in clouds)
    covariances = [np.cov(cloud, rowvar=False) for cloud in (fake, real)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((fake.mean(0) - real.mean(0)) ** 2).sum() + np.trace(sum(covariances) - 2 * root)
    frechet = metrics.Frechet(clouds[1])
    assert frechet.distance(clouds[0]) == pytest.approx(expected, rel=1e-9)
    assert frechet.distance(clouds[1]) == pytest.approx(0, abs=1e-6)
    assert frechet.distance(clouds[0]) == pytest.approx(expected, rel=1e-9), "it kept something"


def test_kernel_distance_is_the_unbiased_estimate():
    """With as many features as a subset has, every subset is the whole set."""
    rng = np.random.default_rng(0)
    fake, real = rng.standard_normal((200, 5)) + 0.5, rng.standard_normal((200, 5))

    def kernel(a, b):
        return (a @ b.T / 5 + 1) ** 3

    def without_diagonal(table):
        return (table.sum() - np.trace(table)) / (200 * 199)

    expected = (
        without_diagonal(kernel(fake, fake))
        + without_diagonal(kernel(real, real))
        - 2 * kernel(fake, real).mean()
    )
    found = metrics.kernel_distance(torch.from_numpy(fake), torch.from_numpy(real))
    assert found == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_depends_on_nothing_but_the_features(clouds):
    torch.manual_seed(1)
    first = metrics.kernel_distance(*clouds)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert metrics.kernel_distance(*clouds) == first
    torch.manual_seed(1)
    assert torch.get_rng_state().equal(state)


def test_manifold_agrees_with_prdc(clouds):
    fake, real = clouds[0], clouds[1][: len(clouds[0])]
    expected = prdc.compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=5)
    assert vars(metrics.manifold(fake, real)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("swap", [False, True], ids=["more fakes", "more reals"])
def test_manifold_does_not_depend_on_how_many_there_are_of_the_larger_set(swap):
    """With all images at once, as prdc does, recall drops with more fakes, coverage with reals."""
    rng = np.random.default_rng(1)
    mix = rng.standard_normal((4, 12))
    noise = torch.from_numpy(rng.standard_normal((3000, 12))) / 2
    fake, real = (torch.from_numpy(rng.standard_normal((3000, 4)) @ mix) for _ in range(2))
    real += noise
    unequal = (fake[:500], real) if swap else (fake, real[:500])
    found, equal = (vars(metrics.manifold(*pair)) for pair in (unequal, (fake[:500], real[:500])))
    assert found == pytest.approx(equal, abs=0.06)
    at_once = prdc.compute_prdc(unequal[1].numpy(), unequal[0].numpy(), nearest_k=5)
    name = "coverage" if swap else "recall"
    assert at_once[name] < equal[name] - 0.1


def test_manifold_leaves_out_what_remains_and_is_always_the_same(clouds):
    fake, real = clouds[0][:11], clouds[1][:6]
    found = metrics.manifold(fake, real)
    assert found == metrics.manifold(fake, real)
    one_part = [vars(metrics.manifold(fake[list(rows)], real)).values()
                for rows in itertools.combinations(range(11), 6)]  # fmt: skip
    assert tuple(vars(found).values()) in {tuple(each) for each in one_part}


def test_manifold_detects_collapse():
    rng = np.random.default_rng(0)
    real = torch.from_numpy(rng.standard_normal((1000, 4)))
    same = torch.from_numpy(rng.standard_normal((1000, 4)))
    collapsed = real[:1] + 0.01 * same
    found, poor = metrics.manifold(same, real), metrics.manifold(collapsed, real)
    assert min(vars(found).values()) > 0.85
    assert poor.precision == 1
    assert max(poor.recall, poor.coverage) < 0.05


def test_nearest_distances(clouds):
    fake, real = clouds
    found = metrics.nearest_distances(fake, real)
    row = (real.double() - fake[7].double()).norm(dim=1).min()
    assert found.shape == (1203,)
    assert float(found[7]) == pytest.approx(float(row), rel=1e-9)


def test_copies_are_found_within_a_program_that_computes_in_bf16(clouds):
    _, real = clouds
    with torch.autocast("cpu", torch.bfloat16):
        assert metrics.nearest_distances(real[::3], real).max() == 0


def test_classifier_score_agrees_with_the_papers_formula():
    logits = torch.from_numpy(np.random.default_rng(0).standard_normal((300, 10)) * 3)
    shares = logits.softmax(1).numpy()
    divergence = [scipy.stats.entropy(row, shares.mean(0)) for row in shares]
    assert metrics.classifier_score(logits) == pytest.approx(np.exp(np.mean(divergence)), rel=1e-9)


def test_classifier_score_at_its_bounds():
    sure = torch.eye(10).repeat(5, 1) * 200
    assert metrics.classifier_score(sure) == pytest.approx(10)
    assert metrics.classifier_score(sure * 100) == pytest.approx(10), "probabilities of 0"
    assert metrics.classifier_score(torch.zeros(20, 10)) == pytest.approx(1)


def test_classes_found_and_their_divergence_from_uniform():
    assert metrics.classes_found([0.5, 0.0, 0.5, 0.0]) == 2
    assert metrics.uniform_divergence([0.25] * 4) == 0
    assert metrics.uniform_divergence([0.5, 0.0, 0.5, 0.0]) == pytest.approx(np.log(2))
    shares = np.random.default_rng(0).dirichlet(np.ones(30))
    by_scipy = scipy.stats.entropy(shares, np.full(30, 1 / 30))
    assert metrics.uniform_divergence(shares.tolist()) == pytest.approx(by_scipy)


@settings(max_examples=20)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40))
def test_shares_of_classes(classes):
    logits = torch.nn.functional.one_hot(torch.tensor(classes), 10).double()
    shares = metrics.class_shares(logits)
    assert shares == pytest.approx([classes.count(c) / len(classes) for c in range(10)])
    assert metrics.sure_share(logits * 100) == 1
    assert metrics.sure_share(logits) == 0


def test_frechet_distance_of_fewer_images_than_features():
    """Their covariances have no inverse."""
    real, fake = (torch.from_numpy(np.random.default_rng(n).normal(n, 1 + n, (30, 40)))
                  for n in (0, 1))  # fmt: skip
    covariances = torch.cov(real.T), torch.cov(fake.T)
    overlap = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(0).sqrt().sum()
    expected = (real.mean(0) - fake.mean(0)).square().sum() + sum(covariances).trace() - 2 * overlap
    assert metrics.Frechet(real).distance(fake) == pytest.approx(float(expected), rel=1e-6)
