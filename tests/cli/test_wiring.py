"""The wiring of commands to the core: options reach the pictures, and metrics their labels.

Pictures are computed here from seeds and the generator alone. All metrics have different values, so
that each label must be beside its own value in every place that shows it.
"""

import csv
import dataclasses
import io
import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ganctl import checkpoint, latents, model, sampling, store
from ganctl.cli import evaluate as command
from ganctl.cli.displays import PlainLines
from ganctl.cli.terminal import Terminal
from ganctl.cli.watch import show_summary
from ganctl.evaluation.evaluator import Metrics
from ganctl.evaluation.results import Evaluation
from ganctl.history import COLUMNS, QUALITY_METRICS

SEEDS, FRAMES = [3, 7, 12, 5], 4
SIDE = 28


@pytest.fixture(scope="module")
def loaded(run):
    return model.load(run)


def pictures(path, columns):
    """Return the images of a grid or strip that is not enlarged, uint8 (N, H, W)."""
    whole = np.asarray(Image.open(path))
    rows = whole.shape[0] // SIDE
    cells = whole.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2)
    return cells.reshape(rows * columns, SIDE, SIDE)


def drawn(loaded, points):
    """Return the images that the generator draws from its inputs, uint8 (N, H, W)."""
    return np.concatenate([*sampling.sample_latents(loaded.generator, points, loaded.network)])[
        ..., 0
    ]


# Options of pictures.


@pytest.mark.parametrize("psi", [1.0, 0.5])
@pytest.mark.parametrize("kind", ["grid.png", "array.npz", "folder/"])
def test_samples_are_drawn_with_the_requested_truncation(ok, run, loaded, tmp_path, psi, kind):
    out = tmp_path / kind
    written = f"{out}/" if kind.endswith("/") else out
    seeds = ",".join(map(str, SEEDS))
    ok("sample", run, "--seeds", seeds, "--truncation", psi, "--upscale", 1, "-o", written)
    if kind == "grid.png":
        found = pictures(out, 2)
    elif kind == "array.npz":
        found = np.load(out)["arr_0"][..., 0]
    else:
        found = np.stack([np.asarray(Image.open(path)) for path in sorted(out.glob("*.png"))])
        found = found[np.argsort(np.argsort(SEEDS))]  # files are in the order of the seeds
    assert (found == drawn(loaded, sampling.inputs_of(SEEDS, loaded.network, None, psi))).all()


WALKS = {
    "plain": {},
    "truncation": {"truncation": 0.5},
    "straight": {"mode": "lerp"},
    "eased": {"ease": "smooth"},
    "looped": {"loop": True},
    "of a class": {"class": "4"},
    "of classes": {"class": "4,1,2,0"},
    "all": {"truncation": 0.5, "mode": "lerp", "ease": "smooth", "loop": True, "class": "4"},
}


def walked(loaded, options, *, sheet=False):
    """Return the images of a walk or a sheet with these options, computed from the latents."""
    names = options.get("class")
    labels = None if names is None else [int(name) for name in names.split(",")]
    labels = labels * (len(SEEDS) // len(labels)) if labels else None
    keyframes = sampling.inputs_of(SEEDS, loaded.network, labels, options.get("truncation", 1.0))
    how = {"frames": FRAMES, "mode": options.get("mode", "slerp")}
    how["ease"] = options.get("ease", "linear")
    if not sheet:
        how["loop"] = options.get("loop", False)
    path = latents.sheet if sheet else latents.path
    return drawn(loaded, path(keyframes, loaded.network.latent_dim, **how))


def as_arguments(options):
    for name, value in options.items():
        yield from [f"--{name}"] if value is True else [f"--{name}", str(value)]


@pytest.mark.parametrize("name", WALKS)
@pytest.mark.parametrize("kind", ["walk.png", "walk.apng"])
def test_every_option_of_a_walk_reaches_its_frames(ok, run, loaded, tmp_path, name, kind):
    out, options = tmp_path / kind, WALKS[name]
    seeds = ",".join(map(str, SEEDS))
    ok("interpolate", run, "--seeds", seeds, "--frames", FRAMES, "--upscale", 1, "-o", out,
       *as_arguments(options))  # fmt: skip
    expected = walked(loaded, options)
    if kind == "walk.png":
        assert (pictures(out, len(expected)) == expected).all()
        return
    with Image.open(out) as film:
        for number, frame in enumerate(expected):
            film.seek(number)
            assert (np.asarray(film.convert("L")) == frame).all()
        assert film.n_frames == len(expected)


@pytest.mark.parametrize("name", [name for name, how in WALKS.items() if "loop" not in how])
def test_every_option_of_a_sheet_reaches_its_pictures(ok, run, loaded, tmp_path, name):
    out, options = tmp_path / "sheet.png", WALKS[name]
    seeds = ",".join(map(str, SEEDS))
    ok("interpolate", run, "--corners", seeds, "--frames", FRAMES, "--upscale", 1, "-o", out,
       *as_arguments(options))  # fmt: skip
    expected = walked(loaded, options, sheet=True)
    assert (pictures(out, FRAMES + 1) == expected).all()


def test_the_options_of_walks_differ(loaded):
    """Each option changes the images, so that the tests above prove something."""
    shown = [walked(loaded, options).tobytes() for options in WALKS.values()]
    assert len({*shown}) == len(WALKS)
    sheets = [walked(loaded, how, sheet=True).tobytes() for how in WALKS.values()
              if "loop" not in how]  # fmt: skip
    assert len({*sheets}) == len(sheets)


@pytest.mark.parametrize("ema", [True, False])
def test_pictures_are_those_of_the_requested_weights(ok, run, tmp_path, ema):
    chosen = model.load(run, ema=ema)
    option = "--ema" if ema else "--no-ema"
    ok("sample", run, "-n", 4, option, "--upscale", 1, "-o", tmp_path / "grid.png")
    ok("interpolate", run, "--seeds", "3,7", option, "--frames", 2, "--upscale", 1,
       "-o", tmp_path / "strip.png")  # fmt: skip
    points = sampling.inputs_of(range(4), chosen.network)
    assert (pictures(tmp_path / "grid.png", 2) == drawn(chosen, points)).all()
    points = latents.path(
        sampling.inputs_of([3, 7], chosen.network), chosen.network.latent_dim, frames=2
    )
    assert (pictures(tmp_path / "strip.png", 3) == drawn(chosen, points)).all()


# What a PNG says of itself.


@pytest.mark.parametrize(
    ("words", "seeds"),
    [
        (["sample", "-n", 4, "-o", "out.png"], "0-3"),
        (["sample", "--class", "4", "--seeds", "2,9", "-o", "out.png"], "2,9"),
        (["sample", "--per-class", 2, "-o", "out.png"], "0-1"),
        (["sample", "-n", 2, "-o", "out/"], None),
        (["sample", "--per-class", 1, "-o", "out/"], None),
        (["interpolate", "--seeds", "3,7", "--frames", 2, "-o", "out.png"], "3,7"),
        (["interpolate", "--corners", "3,7,1,2", "--frames", 2, "-o", "out.png"], "3,7,1,2"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_every_png_says_what_made_it(ok, run, loaded, tmp_path, words, seeds, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, *rest = words
    ok(name, run, "--truncation", 0.5, *rest)
    paths = [*tmp_path.rglob("*.png")]
    assert paths
    for path in paths:
        text = Image.open(path).text
        assert text["checkpoint"] == store.read_checkpoint(run).digest
        assert text["step"] == str(loaded.step)
        assert text["weights"] == "ema"
        assert text["Software"].startswith("ganctl ")
        assert text["truncation"] == "0.5"
        assert text["seeds"] == (seeds or str(int(path.stem.removeprefix("seed-"))))


# Metrics: each beside its own label.


def numbered(offset):
    """Return metrics that all have different values."""
    values = {field.name: offset + index / 8 for index, field in
              enumerate(dataclasses.fields(Metrics))}  # fmt: skip
    shares = [(offset + number) / 100 for number in range(10)]
    whole = {"num_samples": 50, "classes_found": int(offset)}
    return Metrics(**{**values, "class_shares": shares, **whole})


LABELS = {
    "patch_distance": "patch distance",
    "frechet_distance": "Frechet distance",
    "kernel_distance": "kernel distance",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
    "classifier_score": "classifier score",
    "sure_share": "classifier is sure",
    "inception_score": "Inception score",
    "classes_found": "classes found",
    "class_divergence": "classes, KL from uniform",
    "nearest_training": "nearest training image",
}


def cells(text):
    """Return the rows of plain tables as lists of cells."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


def number(text):
    return float(text.rstrip("%").replace(",", "")) / (100 if text.endswith("%") else 1)


def test_the_table_of_evaluate_has_each_metric_beside_its_label(capsys):
    figures, floor = (dataclasses.asdict(numbered(offset)) for offset in (2.0, 4.0))
    evaluation = Evaluation(
        checkpoint="ckpt.pt", digest="0", step=8, ema=True, data="mnist", num_test_images=200,
        test_images="test images", features="mnist-classifier", num_patch_images=200,
        metrics=numbered(2.0), floor=numbered(4.0), path_length=7.25,
    )  # fmt: skip
    command._show(evaluation, Terminal())
    shown = capsys.readouterr().out
    assert "perceptual path length: 7.25 " in shown
    rows = {row[0]: row[1:] for row in cells(shown) if len(row) > 2}
    assert {*LABELS} | {"num_samples", "class_shares"} == figures.keys()
    for name, label in LABELS.items():
        samples, real, *_ = rows[label]
        assert number(samples) == pytest.approx(figures[name], abs=0.006), name
        assert number(real) == pytest.approx(floor[name], abs=0.006), name
    for index in range(10):
        samples, real = rows[str(index)]
        assert number(samples) == pytest.approx(figures["class_shares"][index])
        assert number(real) == pytest.approx(floor["class_shares"][index])


ROW = {
    "epoch": 2, "step": 8, "images": 128, "seconds": 3.5, "elapsed_seconds": 7.25,
    "g_loss": 1.111, "d_loss": 0.222, "d_real": 0.733, "d_fake": 0.444, "diversity": 0.855,
    "images_per_sec": 36.6,
    **{name: 2 + index / 8 for index, name in enumerate(QUALITY_METRICS)},
}  # fmt: skip


@pytest.fixture(scope="module")
def told_apart(run, tmp_path_factory):
    """A run whose last epoch is ROW."""
    assert set(ROW) == set(COLUMNS)
    found = store.read_checkpoint(run)
    first = {**ROW, "epoch": 1, "step": 4, "elapsed_seconds": 3.75, "frechet_distance": 9.0}
    folder = tmp_path_factory.mktemp("told") / "run"
    directory = store.RunDirectory(folder)
    directory.prepare()
    history = [{**first, "images": 64}, ROW]
    directory.write(
        directory.latest, checkpoint.encode(dataclasses.replace(found, history=history))
    )
    directory.write_losses(history)
    (folder / "config.json").write_text((run / "config.json").read_text("utf-8"), "utf-8")
    return folder


def test_inspect_shows_each_loss_below_its_label(ok, told_apart):
    shown = ok("inspect", told_apart).out
    table = shown[shown.index("\nlosses") :]
    header, _, last, *_ = cells(table)[2:]
    expected = {"epoch": 2, "G loss": 1.111, "D loss": 0.222, "D(x)": 0.733, "D(G(z))": 0.444,
                "diversity": 0.855}  # fmt: skip
    found = dict(zip(header, map(float, last), strict=True))
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=0.006)
    assert json.loads(ok("inspect", told_apart, "--json").out)["history"][-1] == ROW


def test_a_list_of_runs_has_each_metric_in_its_column(ok, told_apart):
    (found,) = json.loads(ok("inspect", told_apart.parent, "--json").out)["runs"]
    assert (found["step"], found["best_frechet_distance"]) == (8, ROW["frechet_distance"])
    header, row = [line for line in cells(ok("inspect", told_apart.parent).out) if len(line) > 3]
    by_name = dict(zip(reversed(header), reversed(row), strict=False))
    assert (by_name["epochs"], by_name["best FD"]) == (
        "2 of 2", f"{ROW['frechet_distance']:.2f}",
    )  # fmt: skip


def test_a_line_of_a_log_has_each_metric_beside_its_name(capsys):
    lines = PlainLines(Terminal())
    lines.on_start(SimpleNamespace(steps_per_epoch=4))
    lines.on_epoch(ROW, None)
    said = capsys.readouterr().err
    for text in ("epoch 2:", "generator loss 1.111", "discriminator loss 0.222", "D(x) 0.733",
                 "D(G(z)) 0.444", f"Frechet distance {ROW['frechet_distance']:.2f}", "3.5 s",
                 "37 images/s"):  # fmt: skip
        assert text in said


def test_the_last_table_of_a_run_has_each_loss_below_its_label(capsys, loaded):
    show_summary([ROW], loaded.config, Terminal(), steps_per_epoch=4, seconds=9, since_step=0)
    shown = capsys.readouterr().out
    header, row = [line for line in cells(shown) if len(line) > 4]
    assert dict(zip(header, row, strict=True)) == {
        "epoch": "2", "G loss": "1.111", "D loss": "0.222", "D(x)": "0.733", "D(G(z))": "0.444",
        "Frechet": f"{ROW['frechet_distance']:.2f}",
    }  # fmt: skip
    assert "probability 0.44" in shown or "D(G(z)) in the last epoch: 0.44" in shown
    assert f"{ROW['frechet_distance']:.2f}" in shown


def test_the_table_of_losses_has_each_metric_in_its_column(told_apart):
    *_, last = csv.DictReader(io.StringIO((told_apart / "losses.csv").read_text("utf-8")))
    assert {name: float(last[name]) for name in ROW} == ROW


def test_an_epochs_line_of_json_is_its_row(ok, tmp_path, fast_options):
    words = ["train", *fast_options, "--epochs", 1, "--json", "--out", tmp_path / "run"]
    first, *_ = map(json.loads, ok(*words).out.splitlines())
    (row,) = store.read_checkpoint(tmp_path / "run").history
    assert {name: first[name] for name in row} == row


def test_the_report_has_each_metric_beside_its_label(ok, told_apart, tmp_path):
    ok("report", told_apart, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    for label, value in (("Generator loss", "1.111"), ("Discriminator loss", "0.222"),
                         ("D(x)", "0.733"), ("D(G(z))", "0.444")):  # fmt: skip
        assert re.search(re.escape(label) + r"[^0-9]{0,40}" + re.escape(value), text), label
