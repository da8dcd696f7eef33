"""Folders of samples; what `ganctl sample` writes there is tested in cli/test_sample.py."""

import pytest

from ganctl import sample_folder
from ganctl.errors import RunError


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["cat", "grand piano", "été"], ["cat", "grand piano", "été"]),
        (["a/b", "..", ""], ["class-000", "class-001", "class-002"]),
        (["x" * 300, "a.", "ok"], ["class-000", "class-001", "ok"]),
        (["Cat", "cat"], ["class-000", "class-001"]),
    ],
)
def test_every_class_has_a_folder_of_its_own(names, folders):
    assert sample_folder.class_folders(names) == folders


def test_samples_of_an_earlier_call_are_removed_only_with_force(tmp_path):
    for seed in (1, 2, 3):
        (tmp_path / f"seed-00000{seed}.png").write_bytes(b"old")
    new = [("seed-000002.png", b"new")]
    with pytest.raises(RunError, match="holds 2 samples of an earlier call") as caught:
        sample_folder.write(tmp_path, new, folders=[""], noun="seed", numbers=[2], force=False)
    assert "force=True" in str(caught.value.hint)
    assert len([*tmp_path.iterdir()]) == 3
    sample_folder.write(tmp_path, new, folders=[""], noun="seed", numbers=[2], force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict(new)


def test_samples_of_seeds_are_left_over_by_those_of_latents(tmp_path):
    (tmp_path / "seed-000002.png").write_bytes(b"old")
    new = [("latent-000002.png", b"new")]
    with pytest.raises(RunError, match="holds 1 sample of an earlier call"):
        sample_folder.write(tmp_path, new, folders=[""], noun="latent", numbers=[2], force=False)
    sample_folder.write(tmp_path, new, folders=[""], noun="latent", numbers=[2], force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["latent-000002.png"]
