"""Features of Inception: the numbers are those of torch-fidelity and clean-fid.

The published weights cannot be had without a network, so those of these tests are random. Where the
numbers do not matter, a small network takes the place of torch-fidelity's.
"""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from ganctl import compare_images, features
from ganctl.errors import DataError, PackageError
from ganctl.features import inception, preparing


class _Inception(torch.nn.Module):
    def __init__(self, name, wanted, feature_extractor_weights_path):
        super().__init__()
        assert (name, wanted) == ("inception-v3-compat", ["2048", "logits_unbiased"])
        self.layer = torch.nn.Linear(3, 4)
        self.load_state_dict(torch.load(feature_extractor_weights_path, weights_only=False))

    def forward(self, images):
        assert images.dtype == torch.uint8
        features = self.layer(images.float().mean((2, 3)))
        return features, features[:, :2]


@pytest.fixture
def inception_weights(monkeypatch, tmp_path):
    module = types.ModuleType("feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = _Inception
    monkeypatch.setitem(sys.modules, "torch_fidelity", types.ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, f"torch_fidelity.{module.__name__}", module)
    path = tmp_path / "weights.pth"
    torch.save({"layer.weight": torch.ones(4, 3), "layer.bias": torch.ones(4)}, path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_takes_grayscale_and_color(inception_weights, channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, channels), np.uint8)
    network = features.load(str(inception_weights), "cifar10")
    found = features.extract(network, [images])
    assert (found.features.shape, found.logits.shape) == ((5, 4), (5, 2))
    assert not network.is_fast


def test_code_in_weights_is_never_run(inception_weights, tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harmed"),))

    inception_weights.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(DataError, match="does not hold Inception's weights"):
        features.load(str(inception_weights), "mnist")
    torch.save({"layer.weight": Evil()}, inception_weights)
    with pytest.raises(DataError, match="does not hold Inception's weights"):
        features.load(str(inception_weights), "mnist")
    torch.save({"other": torch.ones(1)}, inception_weights)
    with pytest.raises(DataError, match="does not hold Inception's weights"):
        features.load(str(inception_weights), "mnist")
    assert not (tmp_path / "harmed").exists()


def test_missing_weights_are_an_error(inception_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing.private_folders, "_platform_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(DataError, match=r"could not be downloaded \(no network\)") as caught:
        features.load("inception", "mnist")
    assert "features='PATH'" in str(caught.value.hint)
    with pytest.raises(DataError, match=r"none\.pth cannot be read"):
        features.load(str(tmp_path / "none.pth"), "mnist")
    cached = tmp_path / "cache" / "features" / inception.URL.rpartition("/")[2]
    cached.write_bytes(inception_weights.read_bytes())
    assert features.load("inception", "cifar10").name == "inception-v3-compat"


def test_inception_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(PackageError, match="torch-fidelity, which is not installed") as caught:
        features.load("inception", "cifar10")
    assert "ganctl[inception]" in str(caught.value.hint)


SIDE = 75
"""The smallest images that Inception takes; with its own 299 these tests would take a minute."""


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """A file of random weights, at which features are neither all zero nor huge."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: None)
        network = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            deviation = (2 / layer.weight[0].numel()) ** 0.5  # He et al. 2015
            layer.weight.normal_(0, deviation, generator=generator)
    network.fc.weight.normal_(0, 3, generator=generator)
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def _no_first_weights(monkeypatch):
    """Let networks begin with the memory as it is: all of their weights are read from a file."""
    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", lambda tensor, *_, **__: tensor)


@pytest.fixture
def folders(tmp_path):
    """Two folders of twelve small images each, the first ones darker."""
    rng = np.random.default_rng(0)
    for name, brightest in (("a", 130), ("b", 256)):
        (tmp_path / name).mkdir()
        for number in range(12):
            pixels = rng.integers(0, brightest, (5, 4, 3), np.uint8).repeat(6, 0).repeat(6, 1)
            Image.fromarray(pixels).save(tmp_path / name / f"{number:03}.png")
    return str(tmp_path / "a"), str(tmp_path / "b")


def turned(features, others):
    """Return both sets, (n, D) and (m, D), turned into the n + m dimensions that they span.

    No distance changes, and with so few dimensions the Frechet distance takes no time.
    """
    basis = np.linalg.qr(np.concatenate([features, others]).T.astype(float))[0]
    return features @ basis, others @ basis


@pytest.mark.usefixtures("_no_first_weights")
def test_numbers_are_those_of_torch_fidelity(random_weights, folders, monkeypatch):
    fidelity = pytest.importorskip("torch_fidelity")
    from torch_fidelity import metric_fid
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    monkeypatch.setattr(FeatureExtractorInceptionV3, "INPUT_IMAGE_SIZE", SIDE)
    found = compare_images(*folders, features=str(random_weights)).metrics
    outputs = []
    forward = FeatureExtractorInceptionV3.forward

    def recorded(self, images):
        outputs.append(dict(zip(self.features_list, result := forward(self, images), strict=True)))
        return result

    monkeypatch.setattr(FeatureExtractorInceptionV3, "forward", recorded)
    theirs = fidelity.calculate_metrics(
        input1=folders[0], input2=folders[1], isc=True, kid=True, kid_subsets=1, kid_subset_size=12,
        feature_extractor_weights_path=str(random_weights), batch_size=12, cuda=False,
        save_cpu_ram=True, cache=False, verbose=False,
    )  # fmt: skip
    assert found.inception_score == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert found.inception_score > 1.001
    kernel = theirs["kernel_inception_distance_mean"]
    assert found.kernel_distance == pytest.approx(kernel, rel=1e-3)  # theirs is float32
    assert (found.classifier_score, found.sure_share) == (None, None)
    vectors = turned(*(output["2048"].numpy() for output in outputs))
    statistics = [metric_fid.fid_features_to_statistics(torch.from_numpy(one)) for one in vectors]
    fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    assert found.frechet_distance == pytest.approx(fid["frechet_inception_distance"], rel=1e-5)


@pytest.mark.usefixtures("_no_first_weights")
@pytest.mark.filterwarnings("ignore")  # about old calls in clean-fid
def test_numbers_of_the_clean_network_are_those_of_clean_fid(random_weights, folders, monkeypatch):
    clean = pytest.importorskip("cleanfid.fid")
    from cleanfid import inception_pytorch, resize

    monkeypatch.setattr(inception, "_SIDE", SIDE)
    found = compare_images(*folders, features=f"inception-clean:{random_weights}").metrics
    weights = torch.load(random_weights, weights_only=True)
    monkeypatch.setattr(inception_pytorch, "load_state_dict_from_url", lambda *_, **__: weights)
    network = inception_pytorch.InceptionV3([3], resize_input=False, normalize_input=False)
    vectors = [
        clean.get_folder_features(
            folder,
            lambda images: network.eval()((images - 128) / 128)[0].flatten(1),  # as their own
            num_workers=0, device=torch.device("cpu"), verbose=False,
            custom_fn_resize=resize.make_resizer("PIL", False, "bicubic", (SIDE, SIDE)),
        )
        for folder in folders
    ]  # fmt: skip
    fid = clean.fid_from_feats(*turned(*vectors))
    assert found.frechet_distance == pytest.approx(fid, rel=1e-4)
    kernel = clean.kernel_distance(*vectors, num_subsets=1, max_subset_size=12)
    assert found.kernel_distance == pytest.approx(kernel, rel=1e-3)
    assert found.inception_score > 1
