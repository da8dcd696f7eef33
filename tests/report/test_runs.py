"""The facts about a run in a report, whatever its files contain."""

import dataclasses

import numpy as np
import pytest

from ganctl import images
from ganctl.config import schema
from ganctl.errors import CheckpointError
from ganctl.evaluation import results
from ganctl.evaluation.evaluator import Metrics
from ganctl.evaluation.results import Evaluation
from ganctl.history import is_complete
from ganctl.report import read
from ganctl.report.runs import thinned


def test_rows_are_in_the_order_of_epochs(make_run):
    run = make_run(epochs=3)
    rows = run.rows
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(is_complete(row, run.checkpoint.steps_per_epoch) for row in rows)


def test_an_unfinished_epoch_has_a_row(make_run):
    partial = {"sums": [1.0, 2.0, 0.5, 0.25], "steps": 2, "images": 32, "seconds": 1.0}
    run = make_run(epochs=1, partial=partial, step=5)
    *_, last = run.rows
    assert (last["epoch"], last["step"]) == (2, 5)
    assert not is_complete(last, run.checkpoint.steps_per_epoch)
    assert sorted(last[name] for name in ("g_loss", "d_loss", "d_real", "d_fake")) == [
        0.125, 0.25, 0.5, 1.0,
    ]  # fmt: skip
    assert "incomplete" in run.facts()["Epochs"]


def test_a_run_before_its_first_step_has_facts(make_run):
    run = make_run(epochs=0)
    assert run.rows == []
    assert (run.last_epoch, run.facts()["Epochs"]) == (0, "0 of 2")


def test_an_absurd_history_is_reduced_to_what_can_be_drawn(make_run, row):
    epochs = [1, 1, -4, 2.5, 2**52, 7]
    history = [row(1, g_loss=1e308) | {"epoch": epoch} for epoch in epochs]
    rows = make_run(history=history).rows
    assert [row["epoch"] for row in rows] == [1, 2**52]
    assert [row["g_loss"] for row in rows] == [None, None]


def test_the_best_epoch_has_the_lowest_distance(make_run, row):
    history = [row(n, frechet_distance=d) for n, d in ((1, 3.0), (2, 1.5), (3, 2.0))]
    facts = make_run(history=history).facts()
    assert (facts["Frechet distance"], facts["Best epoch"]) == ("2.00", "2 (Frechet distance 1.50)")


def test_settings_are_text(make_run):
    shown = make_run().settings()
    assert (shown["conditional"], shown["skip_bad"], shown["limit"]) == ("true", "false", "none")
    assert shown.keys() == schema.settings(make_run("other").checkpoint.config).keys()


def test_only_some_of_many_classes_are_listed(make_run, tiny_checkpoint):
    data = {**tiny_checkpoint.data, "classes": [f"kind {n}" for n in range(1000)]}
    shown = make_run(data=data).data()
    assert "kind 3" in shown["Classes"]
    assert shown["Classes"].endswith("and 960 more")


def test_the_last_resume_is_shown_only_if_it_differs(make_run):
    made = {"command": "a", "last_command": "a", "date": "b", "last_date": "c"}
    assert make_run(made_by=made).environment() == {"command": "a", "date": "b", "last date": "c"}


def test_the_first_and_the_latest_starts_are_shown(make_run):
    starts = [{"command": f"ganctl train {n}", "from_step": n} for n in range(50)]
    shown = make_run(starts=starts).starts()
    assert [start["from_step"] for start in shown] == ["0", *map(str, range(39, 50))]
    assert shown[0] == {
        "command": "ganctl train 0", "from_step": "0", "date": "", "device": "",
    }  # fmt: skip


def test_a_run_is_read_by_its_folder_or_by_a_file(make_run):
    made = make_run()
    assert read(made.path).file == read(made.file).file == made.file
    assert make_run("other").name == "other"
    by_file = dataclasses.replace(made, path=made.file)
    assert by_file.name == "tiny/ckpt.pt"


def test_the_newest_intact_checkpoint_is_read_if_the_latest_is_damaged(make_run):
    run = make_run()
    snapshot = run.folder.snapshot(2)
    snapshot.write_bytes(run.file.read_bytes())
    run.file.write_bytes(b"nothing of the kind")
    found = read(run.path)
    assert found.file == snapshot
    assert len(found.problems) == 1
    assert "ckpt.pt" in found.problems[0]


def test_the_newest_evaluation_is_shown_with_its_path_length(make_run):
    run = make_run()
    numbers = dict.fromkeys([field.name for field in dataclasses.fields(Metrics)])
    metrics = Metrics(**{**numbers, "num_samples": 50, "patch_distance": 0.5, "class_shares": []})
    found = Evaluation(
        checkpoint="ckpt.pt", digest=run.checkpoint.digest, step=9, ema=True, data="mnist",
        num_test_images=200, test_images="test images", features="digits", num_patch_images=50,
        metrics=metrics, floor=metrics, path_length=8.364,
    )  # fmt: skip
    results.save(found, run.folder)
    shown = run.evaluation()
    assert shown["Samples"] == "50"
    assert shown["Perceptual path length"] == "8.36 (1: images change evenly)"
    results.save(dataclasses.replace(found, path_length=None), run.folder)
    assert "Perceptual path length" not in run.evaluation()


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no ckpt\.pt"):
        read(tmp_path)


@pytest.mark.parametrize("count", [0, 1, 2, 5, 99])
@pytest.mark.parametrize("most", [1, 2, 7])
def test_thinning_keeps_the_ends(count, most):
    items = list(range(count))
    kept = thinned(items, most)
    assert len(kept) == min(count, most)
    assert kept == sorted(set(kept))
    assert kept[-1:] == items[-1:]
    assert most == 1 or kept[:1] == items[:1]


def test_a_sheet_of_nearest_images_is_shown_with_its_own_checkpoint(make_run):
    run = make_run()
    digest = read(run.path).checkpoint.digest
    sheet, path = np.full((30, 20, 3), 7, np.uint8), run.folder.nearest
    assert read(run.path).nearest is None
    path.write_bytes(images.png(sheet, {"checkpoint": digest}))
    assert np.array_equal(read(run.path).nearest, sheet)
    for content in (
        images.png(sheet, {"checkpoint": "another"}),
        images.png(np.zeros((9000, 9000, 1), np.uint8), {"checkpoint": digest}),
        b"no picture",
    ):
        path.write_bytes(content)
        assert read(run.path).nearest is None
