"""ganctl directions, and the options of sample and interpolate that take directions."""

import json

import numpy as np
import pytest


@pytest.fixture(scope="module")
def found(cli, run, tmp_path_factory):
    """The folder of three directions, and the result of the command that wrote it."""
    folder = tmp_path_factory.mktemp("directions")
    result = cli("directions", run, "-n", "3", "-o", folder, "--json")
    assert result.code == 0, result.err
    return folder, result


def test_json_describes_the_directions(found, documented):
    folder, result = found
    document = json.loads(result.out)
    documented("directions", document)
    assert (document["names"], document["method"]) == (["1", "2", "3"], "activations")
    assert len(document["path_lengths"]) == 3
    assert min(document["path_lengths"]) > 0.5
    with np.load(folder / "directions.npz") as arrays:
        assert arrays["latents"].shape == (3, 100)
        assert arrays["names"].tolist() == ["1", "2", "3"]


def test_samples_are_moved(ok, run, found, documented, tmp_path):
    folder, _ = found
    npz, latents = tmp_path / "moved.npz", tmp_path / "latents.npz"
    result = ok("sample", run, "-n", "2", "--move", "2=+1.5", "--move", "1=-1", "-o", npz,
                "--save-latents", latents, "--json")  # fmt: skip
    documented("sample", json.loads(result.out))
    assert json.loads(result.out)["move"] == {"2": 1.5, "1": -1}
    ok("sample", run, "-n", "2", "-o", tmp_path / "plain.npz", "--save-latents",
       tmp_path / "plain-latents.npz")  # fmt: skip
    with (
        np.load(latents) as moved, np.load(tmp_path / "plain-latents.npz") as plain,
        np.load(folder / "directions.npz") as directions, np.load(npz) as images,
    ):  # fmt: skip
        expected = plain["latents"] + 1.5 * directions["latents"][1] - directions["latents"][0]
        assert moved["latents"] == pytest.approx(expected, abs=1e-5)
        assert "seeds" not in moved
        made_by = json.loads(str(moved["provenance"]))
        assert made_by["move"] == "2=+1.5, 1=-1"
        assert made_by["command"] == "ganctl sample tiny --num 2 --move 2=+1.5 --move 1=-1"
        again = ok("sample", run, "--latents", latents, "-o", tmp_path / "again.npz")
        assert (np.load(tmp_path / "again.npz")["arr_0"] == images["arr_0"]).all()
        assert "latents of" in again.out
    shown = ok("sample", run, "-n", "2", "--move", "2=+1.5", "--directions",
               folder / "directions.npz", "-o", tmp_path / "moved.png")  # fmt: skip
    assert "seeds 0-1, moved 2=+1.5" in shown.out


def test_a_walk_goes_along_a_direction_through_a_seed(ok, run, documented, tmp_path):
    out = tmp_path / "walk.npz"
    result = ok("interpolate", run, "--seeds", "5", "--along", "1", "--frames", "4", "-o",
                tmp_path / "walk.png")  # fmt: skip
    assert "5 frames, seed 5, class 5, along direction 1 from -3 to 3 (lerp)" in result.out
    result = ok("interpolate", run, "--along", "2=1.5", "--frames", "2", "-o",
                tmp_path / "walk.gif", "--json")  # fmt: skip
    document = json.loads(result.out)
    documented("interpolate", document)
    assert (document["along"], document["reach"], document["mode"]) == ("2", 1.5, "lerp")
    assert not out.exists()


def test_a_direction_leads_from_some_latents_to_others(ok, run, tmp_path):
    for name, seed in (("thin", 0), ("thick", 4)):
        ok("sample", run, "-n", "2", "--seed", seed, "-o", tmp_path / "x.png", "--save-latents",
           tmp_path / f"{name}.npz")  # fmt: skip
    result = ok("directions", run, "--from", tmp_path / "thin.npz", "--to", tmp_path / "thick.npz",
                "-o", tmp_path / "out")  # fmt: skip
    first, _, row, _ = result.out.splitlines()
    assert first == f"{tmp_path / 'out'}: 1 direction: thin-to-thick"
    assert row.startswith("thin-to-thick ")
    ok("sample", run, "-n", "1", "--move", "thin-to-thick=2", "--directions",
       tmp_path / "out" / "directions.npz", "-o", tmp_path / "moved.png")  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("directions", "-o", "d", "--method", "magic"), "must be activations or weights"),
        (("directions", "-o", "d", "--from", "x"), "--from and --to belong together"),
        (("directions", "-o", "d", "--from", "x", "--to", "y", "-n", "2"), "leave out -n"),
        (("directions", "-o", "d", "-n", "0"), "-n must be at least 1"),
        (("directions", "-o", "file"), "'file' is not a folder"),
        (("directions",), "missing option '-o'"),
        (("sample", "--move", "1"), "'1' is not a direction and a distance"),
        (("sample", "--move", "1=nan"), "is not a direction and a distance"),
        (("sample", "--move", "1=2", "--move", "1=3"), "direction '1' is given twice"),
        (("sample", "--move", "200=1"), "there is no direction '200'"),
        (("sample", "--directions", "d.npz"), "--directions needs --move"),
        (("interpolate", "--along", "dog"), "there is no direction 'dog'"),
        (("interpolate", "--along", "1", "--walk", "4"), "either --along or --walk"),
        (("interpolate", "--along", "1", "--seeds", "1,2"), "goes through one latent"),
        (("interpolate", "--directions", "d.npz"), "--directions needs --along"),
    ],
)
def test_wrong_input_is_explained(cli, run, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    command, *options = arguments
    result = cli(command, run, *options)
    assert (result.code, result.out) == (2, "")
    assert words in result.err.lower()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
