"""ganctl train --init-from."""

from __future__ import annotations

import json
import shutil

import pytest

from ganctl import checkpoint, store

pytestmark = pytest.mark.usefixtures("_no_plot")


@pytest.fixture
def options(photos, tmp_path):
    """Options of a run on photos in a folder of its own."""
    return ("train", "--data", photos, "--out", tmp_path / "new", "--batch-size", "4", "--steps",
            "3", "--set", "eval_samples=0", "--device", "cpu", "--precision", "fp32")  # fmt: skip


def test_a_run_on_other_images_begins_as_the_checkpoint(ok, run, options, tmp_path, documented):
    result = ok(*options, "--init-from", run)
    assert (
        f"Begins from {run} (step 8, mnist at 28): 6 of 8 tensors of the generator, 6 of 8 tensors"
        " of the discriminator. New: generator layers.7.weight, layers.7.bias, the classes of "
        "layers.0.weight; discriminator layers.0.weight, layers.0.bias, the classes of "
        "layers.7.weight, the classes of layers.7.bias.\n"
    ) in result.err
    document = json.loads(ok("inspect", tmp_path / "new", "--json").out)
    documented("inspect", document)
    assert document["config"]["image_size"] == "28"
    assert document["reasons"]["base_channels"] == "as in the checkpoint that it began from, or set"
    made_by, origin = document["made_by"], store.read_checkpoint(run)
    assert (made_by["init_from"], made_by["init_from_digest"]) == (str(run), origin.digest)
    shown = ok("inspect", tmp_path / "new").out
    assert f"{run}, step 8, trained on mnist" in shown
    assert "6 of 8 tensors of the generator" in shown
    assert origin.digest in shown
    (start,) = store.RunDirectory(tmp_path / "new").read_starts()
    assert start["init_from_new"] == made_by["init_from_new"]


def test_a_dry_run_shows_what_is_taken(ok, run, options, tmp_path, documented):
    report = json.loads(ok(*options, "--init-from", run / "ckpt.pt", "--dry-run", "--json").out)
    documented("train-dry-run", report)
    assert report["init_from"]["path"] == str(run / "ckpt.pt")
    assert report["init_from"]["step"] == 8
    assert report["reasons"]["base_channels"] == f"as in {run / 'ckpt.pt'}"
    assert not (tmp_path / "new").exists()


def test_the_preset_is_that_of_the_checkpoint_unless_given(
    cli, ok, dcgan_run, photos, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = ("train", "--data", photos, "--steps", "1", "--batch-size", "4", "--device", "cpu",
             "--init-from", dcgan_run, "--dry-run")  # fmt: skip
    report = json.loads(ok(*words, "--json").out)
    assert (report["config"]["preset"], report["config"]["base_channels"]) == ("dcgan", 2)
    assert report["out"] == "runs/photos-dcgan"
    assert report["reasons"]["loss"] == "preset dcgan"
    refused = cli(*words, "--preset", "fast")
    assert (refused.code, refused.out) == (2, "")
    assert f"no weights of {dcgan_run} fit: --preset dcgan there, --preset fast here" in refused.err


def test_it_is_refused_beside_resume(cli, run, options):
    refused = cli(*options, "--resume", "--init-from", run)
    assert refused.code == 2
    assert "--init-from begins a new run, and --resume continues one" in refused.err


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda path: path.unlink(), "there is no checkpoint at"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is cut short or damaged"),
    ],
)
def test_a_missing_or_damaged_checkpoint_is_refused(cli, run, options, tmp_path, damage, complaint):
    path = tmp_path / "old.pt"
    shutil.copy(run / "ckpt.pt", path)
    damage(path)
    refused = cli(*options, "--init-from", path)
    assert (refused.code, refused.out) == (1, "")
    assert str(path) in refused.err
    assert complaint in refused.err
    assert not (tmp_path / "new").exists()


def test_a_newer_checkpoint_is_refused(cli, run, options, tmp_path, monkeypatch):
    origin = store.read_checkpoint(run)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "VERSION", checkpoint.VERSION + 1)
        newer = checkpoint.encode(origin)
    path = tmp_path / "new.pt"
    path.write_bytes(newer)
    refused = cli(*options, "--init-from", path)
    assert refused.code == 1
    assert "was written by a newer ganctl" in refused.err


def test_a_folder_without_a_checkpoint_is_refused(cli, options, photos):
    refused = cli(*options, "--init-from", photos)
    assert refused.code == 1
    assert "holds no ckpt.pt" in refused.err
