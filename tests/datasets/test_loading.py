"""The images that a name, a path or an address stands for."""

from __future__ import annotations

import pytest

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import loading
from ganctl.datasets.local import trained
from ganctl.datasets.local.survey import Survey
from ganctl.errors import DataError, UsageError


@pytest.mark.usefixtures("tiny_mnist")
def test_load_takes_the_first_images_by_name(tiny_dataset):
    everything, few = loading.load("mnist"), loading.load("mnist", limit=7)
    assert (everything.name, len(everything), len(few)) == ("mnist", len(tiny_dataset), 7)
    assert everything.digest == tiny_dataset.digest != few.digest
    assert few.images.equal(everything.images[:7])
    assert few.labels.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_the_nearest_known_name_is_suggested():
    with pytest.raises(DataError, match="unknown data 'fashon-mnist'") as caught:
        loading.load("fashon-mnist")
    assert caught.value.hint == "Did you mean 'fashion-mnist'? Or give a path that exists."


@pytest.mark.usefixtures("tiny_mnist")
def test_a_built_in_data_set_in_another_size():
    native = loading.load("mnist")
    same = loading.load("mnist", settings=ImageSettings((28, 28), 1))
    assert same.digest == native.digest
    other = loading.load("mnist", settings=ImageSettings((32, 48), 3), limit=5)
    assert other.image_shape == (3, 32, 48)
    assert other.labels.tolist() == native.labels[:5].tolist()
    assert other.num_classes == native.num_classes
    assert loading.load_test("mnist", settings=ImageSettings((32, 32))).image_shape == (1, 32, 32)


@pytest.mark.usefixtures("tiny_mnist")
def test_the_survey_of_a_built_in_data_set():
    prepared = loading.prepare("mnist", ImageSettings((32, 32)))
    survey = prepared.survey
    assert (survey.num_images, survey.num_enlarged) == (40, 40)
    assert survey.sizes == {"28x28": 40}
    assert survey.classes == {str(digit): 4 for digit in range(10)}
    assert prepared.training_size == "32x32 grayscale"
    assert Survey.from_dict(survey.to_dict()) == survey


def test_only_a_checkpoints_embedded_or_known_images_are_trusted():
    assert loading.is_trusted("mnist", "any digest")
    assert not loading.is_trusted("/somewhere/photos", "a")
    trained.remember("/somewhere/photos", "a")
    assert loading.is_trusted("/somewhere/photos", "a")
    assert not loading.is_trusted("/somewhere/photos", "b")
    error = loading.untrusted_error("/somewhere/\x1bphotos")
    assert "never trained on here: /somewhere/\\x1bphotos" in str(error)
    assert "data" in str(error.hint)


@pytest.mark.parametrize(
    "load", [loading.load, lambda name: loading.prepare(name, ImageSettings())]
)
def test_streamed_images_are_never_loaded_as_a_whole(load, tmp_path):
    (tmp_path / "index.json").write_text("{}")
    assert loading.is_streamed(str(tmp_path / "index.json"))
    with pytest.raises(UsageError, match="can only be streamed") as caught:
        load(str(tmp_path / "index.json"))
    assert "that was packed" in str(caught.value.hint)
    with pytest.raises(UsageError, match="no held-out images"):
        loading.load_test(str(tmp_path / "index.json"))


@pytest.mark.usefixtures("tiny_mnist")
def test_an_image_key_and_columns_are_refused_for_a_named_data_set():
    with pytest.raises(UsageError, match="image keys are for samples in tars"):
        loading.load("mnist", settings=ImageSettings(image_key="jpg"))
    with pytest.raises(UsageError, match="a built-in dataset are not in a table with columns"):
        loading.load("mnist", settings=ImageSettings(image_column="image"))
