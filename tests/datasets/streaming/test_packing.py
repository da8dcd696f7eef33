from __future__ import annotations

import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.local import loading
from ganctl.datasets.streaming import index, indexing, packing, stream
from ganctl.datasets.streaming.packing import Pattern
from ganctl.errors import DataError, RunError, UsageError

AS_THEY_ARE = ImageSettings()


@pytest.fixture
def pack(tmp_path):
    def call(path, settings=AS_THEY_ARE, *, out="shards/{000..}.tar", shard_bytes=2**20, **how):
        pattern = Pattern.parse(str(tmp_path / out))
        return packing.pack(str(path), pattern, settings=settings, shard_bytes=shard_bytes, **how)

    return call


def test_shards_that_do_not_fit_are_refused_at_once(pack, photos, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(RunError, match=r"shards would take .* are free there"):
        pack(photos)
    assert not (tmp_path / "shards").exists()


def members(folder):
    """Return the contents of all shards in a folder, by member name."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}
    return found


def test_shards_hold_the_unchanged_files_shuffled_with_their_classes(photos, tmp_path, pack):
    packed = pack(photos, per_shard=5)
    found = members(tmp_path / "shards")
    images = {name: content for name, content in found.items() if name.endswith(".png")}
    originals = {path.read_bytes(): path.parent.name for path in photos.rglob("*.png")}

    assert [shard.count for shard in packed.index.shards] == [5, 5, 2]
    assert sorted(images.values()) == sorted(originals)
    assert list(images.values()) != list(originals)
    names = [known.name for known in packed.index.classes]
    for name, content in images.items():
        label = found[name.replace(".png", ".cls")].decode()
        assert names[int(label)] == originals[content]
    assert [known.count for known in packed.index.classes] == [5, 7]
    assert (packed.index.image_size, packed.index.image_channels) == ((28, 28), 3)


def test_peculiar_images_are_reported(photos, pack):
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "lime", "blue")]
    frames[0].save(photos / "cat" / "a.gif", save_all=True, append_images=frames[1:])
    remarks = pack(photos).remarks
    assert remarks.frames == [("cat/a.gif", 3)]
    assert len(remarks.messages()) == 1


@pytest.mark.parametrize(
    ("settings", "notice"),
    [
        (AS_THEY_ARE, ["parts of images are stored, too: train with image_channels=4"]),
        (ImageSettings((28, 28)), ["4 images have transparent parts, which are shown over white"]),
        (ImageSettings((28, 28), 4), []),
    ],
)
def test_transparency_is_kept_or_its_loss_is_said(tmp_path, pack, settings, notice):
    (tmp_path / "icons").mkdir()
    for number in range(4):
        image = Image.new("RGBA", (28, 28), (200, 90, 0, 60 * number))
        image.save(tmp_path / "icons" / f"{number}.png")
    packed = pack(tmp_path / "icons", settings)
    said = [*map(str, packed.notices())]
    assert len(said) == len(notice)
    assert all(words in line for words, line in zip(notice, said, strict=True))
    is_lost = settings.size and settings.channels is None
    streamed = stream.load(packed.index.address, ImageSettings(channels=4))
    alphas = streamed.evenly_spaced(4)[..., 3]
    assert len(np.unique(alphas)) == (1 if is_lost else 4)


def test_the_index_equals_that_of_scanned_shards(photos, tmp_path, pack):
    packed = pack(photos, per_shard=5).index
    read = index.read(packed.address)
    made = indexing.make(packed.address, [shard.name for shard in packed.shards], lambda *_: None)

    assert read.to_json() == packed.to_json() == (tmp_path / "shards" / "index.json").read_bytes()
    for one in (read, made):
        for shard, other in zip(one.shards, packed.shards, strict=True):
            assert (shard.name, shard.count, shard.size) == (other.name, other.count, other.size)
            assert shard.marks.tolist() == other.marks.tolist()
    assert json.loads(read.to_json())["wids_version"] == 1


def test_webdataset_reads_the_shards(photos, tmp_path, pack):
    webdataset = pytest.importorskip("webdataset")
    pack(photos, per_shard=12)
    shards = webdataset.WebDataset(str(tmp_path / "shards" / "000.tar"), shardshuffle=False)
    found = list(shards.decode("rgb8").to_tuple("png", "cls"))
    assert [image.shape for image, _ in found] == [(30, 40, 3)] * 12
    assert sorted(label for _, label in found) == [0] * 5 + [1] * 7


def test_packing_is_deterministic_and_shuffled_by_the_seed(photos, tmp_path, pack, files):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pack(photos, out=f"{name}/{{0..}}.tar", seed=seed)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert files(tmp_path / "a") != files(tmp_path / "c")


@pytest.fixture
def files():
    return lambda folder: {path.name: path.read_bytes() for path in folder.iterdir()}


def test_resized_images_equal_the_preprocessed_ones(photos, tmp_path, pack):
    settings = ImageSettings((16, 16), 1)
    packed = pack(photos, settings)
    seen = loading.load(str(photos), settings).images.numpy()[..., 0]
    stored = [
        np.asarray(Image.open(io.BytesIO(content)))
        for name, content in members(tmp_path / "shards").items() if name.endswith(".png")
    ]  # fmt: skip
    assert sorted(image.tobytes() for image in stored) == sorted(image.tobytes() for image in seen)
    assert (packed.index.image_size, packed.index.image_channels) == ((16, 16), 1)


def test_a_shard_exceeds_its_maximum_size_only_for_a_single_image(photos, tmp_path, pack):
    packed = pack(photos, shard_bytes=30_720)
    assert len(packed.index.shards) > 1
    assert all(shard.size <= 30_720 for shard in packed.index.shards)
    tiny = pack(photos, shard_bytes=1, out="tiny/{0..}.tar")
    assert [shard.count for shard in tiny.index.shards] == [1] * 12


def test_arrays_are_stored_as_png_and_have_no_classes_without_labels(tmp_path, pack):
    pixels = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    np.savez(tmp_path / "some.npz", images=pixels)
    packed = pack(tmp_path / "some.npz")
    found = members(tmp_path / "shards")
    assert sorted(name.partition(".")[2] for name in found) == ["png"] * 3
    assert packed.index.classes == ()


def test_unusable_files_are_named_and_nothing_is_left_behind(photos, tmp_path, pack):
    whole = (photos / "cat" / "1.png").read_bytes()
    (photos / "cat" / "1.png").write_bytes(whole[: len(whole) // 2])  # its header is whole
    (photos / "cat" / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 file in .* cannot be used") as caught:
        pack(photos, per_shard=2)
    assert "cat/2.png: not an image" in caught.value.details
    assert not (tmp_path / "shards").exists()

    (photos / "cat" / "2.png").unlink()
    with pytest.raises(DataError) as caught:  # found only when some shards are written
        pack(photos, per_shard=2)
    assert caught.value.details == ["cat/1.png: truncated"]
    assert list((tmp_path / "shards").iterdir()) == []

    packed = pack(photos, per_shard=2, skip_bad=True)
    assert [problem.name for problem in packed.left_out] == ["cat/1.png"]
    assert packed.index.num_images == 10


def test_nothing_is_overwritten(photos, tmp_path, pack):
    pack(photos)
    with pytest.raises(RunError, match="already exists"):
        pack(photos)
    (tmp_path / "shards" / "index.json").unlink()
    with pytest.raises(RunError, match=r"000\.tar' already exists"):
        pack(photos)
    with pytest.raises(UsageError, match="lies in the folder of the images"):
        pack(photos, out="photos/{0..}.tar")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RunError, match="cannot be written"):
        pack(photos, out="file/{0..}.tar")


@pytest.mark.parametrize(
    "text", ["x.tar", "{000..127}.tar", "{..}.tar", "{0..}/x.tar", "{0..}-{0..}.tar", "{0..}.zip"]
)
def test_invalid_patterns_are_refused(text):
    with pytest.raises(UsageError, match="is not a pattern of names for shards"):
        Pattern.parse(text)


def test_names_of_a_pattern():
    pattern = Pattern.parse("some/photos-{008..}-x.tar")
    assert [pattern.name(number) for number in (0, 2, 2000)] == [
        "photos-008-x.tar", "photos-010-x.tar", "photos-2008-x.tar",
    ]  # fmt: skip
