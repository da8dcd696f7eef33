from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ganctl.batch import WHOLE, Share
from ganctl.config import presets, schema
from ganctl.config.image_settings import ImageSettings
from ganctl.datasets import loading, prefetch
from ganctl.datasets.streaming import index, indexing, reader, stream
from ganctl.datasets.streaming.order import EpochOrder
from ganctl.errors import DataError, UsageError

GRAY = ImageSettings((8, 8), 1)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    """Read in this process, since another one takes half a second to start; one test uses some."""
    monkeypatch.setattr(stream, "_num_processes", lambda _: 0)


def png(number: int) -> bytes:
    """Return a PNG of which every pixel is `number`."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8), number).save(buffer, "PNG")
    return buffer.getvalue()


PNGS = [png(number) for number in range(256)]


def write_shards(folder, counts, change=lambda number, files: files):
    """Write shards with `counts` of the images 0, 1, 2, ...; return the path of their index."""
    folder.mkdir(parents=True, exist_ok=True)
    numbers = itertools.count()
    names = []
    for shard, count in enumerate(counts):
        names.append(f"{shard}.tar")
        with tarfile.open(folder / names[-1], "w") as tar:
            for number in itertools.islice(numbers, count):
                files = {f"{number}.png": PNGS[number], f"{number}.cls": b"%d" % (number % 3)}
                for name, content in change(number, files).items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    path = folder / "index.json"
    path.write_bytes(indexing.make(str(path), names, lambda *_: None).to_json())
    return str(path)


def shown(data, size, numbers=None, *, seed=0, epoch=0, share=WHOLE):
    """Return (first row, batch size, numbers of the images) of each batch."""
    steps = range(-(-len(data) // size))
    batches = data.batches(size, steps if numbers is None else numbers, seed=seed, epoch=epoch,
                           share=share)  # fmt: skip
    found = []
    for batch in batches:
        numbers = batch.pixels[:, 0, 0, 0].tolist()
        if data.classes:
            assert batch.labels.tolist() == [number % 3 for number in numbers]
        found.append((batch.first, batch.size, numbers))
    return found


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(0, 100), min_size=1, max_size=5).filter(
        lambda counts: 2 <= sum(counts) <= 256
    ),
    batch=st.integers(1, 80),
    processes=st.sampled_from((1, 2, 3, 4)),
    begun=st.integers(0, 100),
    block_bytes=st.sampled_from((1, 500, 2**22)),
    seed=st.integers(0, 2**32 - 1),
)
def test_an_epoch_has_every_image_once_for_any_number_of_processes_and_first_step(
    tmp_path_factory, counts, batch, processes, begun, block_bytes, seed
):
    data = stream.load(write_shards(tmp_path_factory.mktemp("shards"), counts), GRAY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "BLOCK_BYTES", block_bytes)
        size = min(batch, len(data))
        whole = shown(data, size, seed=seed)
        steps = range(min(begun, len(whole)), len(whole))
        shares = [
            shown(data, size, steps, seed=seed, share=Share(rank, processes))
            for rank in range(processes)
        ]

    assert sorted(n for _, _, numbers in whole for n in numbers) == [*range(sum(counts))]
    for (_, count, numbers), *parts in zip(whole[steps.start :], *shares, strict=True):
        if count < processes:
            assert all(part == (0, count, numbers) for part in parts)
        else:
            assert [n for _, _, part in parts for n in part] == numbers
            assert [first for first, _, _ in parts] == [Share(r, processes).rows(count).start
                                                         for r in range(processes)]  # fmt: skip


def test_the_order_is_a_function_of_seed_and_epoch(tmp_path):
    data = stream.load(write_shards(tmp_path, [200]), GRAY)
    assert shown(data, 16) == shown(data, 16)
    assert shown(data, 16) != shown(data, 16, seed=1)
    assert shown(data, 16) != shown(data, 16, epoch=1)


def test_reading_processes_do_not_change_the_batches(tmp_path, monkeypatch):
    data = stream.load(write_shards(tmp_path, [100, 30]), GRAY)
    expected = shown(data, 16)
    monkeypatch.setattr(stream, "_num_processes", lambda _: 2)
    assert shown(data, 16) == expected
    (tmp_path / "0.tar").unlink()
    with pytest.raises(DataError, match=r"0\.tar cannot be read: no such file"):
        shown(data, 16)


def test_size_and_channels_come_from_the_index_or_are_detected(tmp_path):
    config = schema.override(presets.preset("fast"), {"data": write_shards(tmp_path, [5, 6])})
    data = loading.load_training(config)
    assert (len(data), data.classes, data.num_classes) == (11, ("0", "1", "2"), 3)
    assert data.image_shape == (1, 28, 28)  # the smallest that is chosen
    assert "28x28 grayscale (size and channels detected from the first images)" in data.notices[0]
    assert loading.stem(data.name) == tmp_path.name
    assert data.evenly_spaced(4).shape == (4, 28, 28, 1)
    assert len(data.evenly_spaced(1000)) == 11
    with pytest.raises(UsageError, match="can only be streamed"):
        loading.load(data.name)


def test_a_limit_uses_the_first_images(tmp_path):
    data = stream.load(write_shards(tmp_path, [5, 6, 7]), GRAY, limit=8)
    assert sorted(n for _, _, numbers in shown(data, 3) for n in numbers) == [*range(8)]


def test_other_shards_have_another_digest(tmp_path):
    digests = {
        stream.load(write_shards(tmp_path / str(number), counts), GRAY).digest
        for number, counts in enumerate(([5, 6], [6, 5], [11]))
    }
    same = stream.load(write_shards(tmp_path / "again", [5, 6]), GRAY).digest
    assert len(digests) == 3
    assert same in digests


def broken(number, files):
    return files | {"7.png": PNGS[7][:40]} if number == 7 else files


def test_a_broken_image_is_an_error_that_names_it(tmp_path):
    data = stream.load(write_shards(tmp_path, [5, 20], broken), GRAY)
    with pytest.raises(DataError, match=r"1\.tar: 7\.png: "):
        shown(data, 4)


def test_a_skipped_image_is_always_replaced_by_the_same_neighbor(tmp_path):
    path = write_shards(tmp_path, [5, 20], broken)
    data = stream.load(path, GRAY, skip_bad=True)
    whole = shown(data, 4)
    counts = Counter(n for _, _, numbers in whole for n in numbers)
    assert sorted(counts.values()) == [1] * 23 + [2]
    assert 7 not in counts
    for step in range(len(whole)):
        assert shown(data, 4, range(step, step + 1)) == whole[step : step + 1]


def test_images_without_a_label_are_named(tmp_path):
    def unlabelled(number, files):
        return {"7.png": PNGS[7]} if number == 7 else files

    data = stream.load(write_shards(tmp_path, [20], unlabelled), GRAY)
    with pytest.raises(DataError, match=r"7\.png: it has no label"):
        shown(data, 4)


def test_shards_without_labels_have_no_classes(tmp_path):
    path = write_shards(tmp_path, [20], lambda n, files: {f"{n}.png": PNGS[n]})
    data = stream.load(path, GRAY)
    assert (data.classes, data.num_classes) == ((), 0)
    assert sum(len(numbers) for *_, numbers in shown(data, 4)) == 20


def test_an_index_made_by_webdataset_is_accepted(tmp_path):
    path = tmp_path / "index.json"
    write_shards(tmp_path, [70, 70])
    facts = json.loads(path.read_text())
    for shard in facts["shardlist"]:
        del shard["marks"]
    path.write_text(json.dumps({"wids_version": 1, "shardlist": facts["shardlist"]}))
    data = stream.load(str(path), GRAY)
    assert sorted(n for _, _, numbers in shown(data, 32) for n in numbers) == [*range(140)]


def cut(folder):
    path = folder / "0.tar"
    path.write_bytes(path.read_bytes()[:-2048])


def cut_and_say_so(folder):
    path, facts = folder / "0.tar", json.loads((folder / "index.json").read_text())
    path.write_bytes(path.read_bytes()[:60_000])
    facts["shardlist"][0]["filesize"] = 60_000
    facts["shardlist"][0]["marks"] = [0, 0]
    (folder / "index.json").write_text(json.dumps(facts))


def change(**values):
    def do(folder):
        facts = json.loads((folder / "index.json").read_text())
        facts["shardlist"][0] |= values
        (folder / "index.json").write_text(json.dumps(facts))

    return do


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, r"0\.tar is not as its index says: it has [\d,]+ bytes, not"),
        (cut_and_say_so, r"0\.tar (is damaged|cannot be read|is not as its index says)"),
        (change(nsamples=101), r"0\.tar is not as its index says: it has fewer than 101"),
        (change(nsamples=99), r"0\.tar is not as its index says: it has more than 99"),
        (change(marks=[0, 512]), r"0\.tar (is not as its index says|is damaged)"),
        (change(marks=[0, 1024]), r"0\.tar (is not as its index says|is damaged)"),
        (change(marks=[0]), "is not an index of shards"),
        (change(marks=[0, 10**12]), "is not an index of shards"),
        (change(nsamples=-1), "is not an index of shards"),
        (change(nsamples="many"), "is not an index of shards"),
        (change(nsamples=2**80), "is not an index of shards"),
        (change(nsamples=2**52), "is not an index of shards"),
        (change(url="../0.tar"), "outside of its folder"),
        (change(url="/etc/passwd"), "outside of its folder"),
        (change(url="s3://bucket/0.tar"), "outside of its folder"),
        (change(url="%2e%2e/0.tar"), "outside of its folder"),
        (change(url="pipe:date"), "outside of its folder"),
        (change(url="1.tar"), "is not an index of shards"),
        (change(url=""), "outside of its folder"),
        (change(url="."), r"is not a file"),
        (change(url="nowhere.tar"), r"nowhere\.tar cannot be read: no such file"),
        (lambda folder: (folder / "0.tar").unlink(), r"0\.tar cannot be read: no such file"),
        (lambda folder: (folder / "index.json").write_text("[]"), "is not an index of shards"),
        (lambda folder: (folder / "index.json").write_text(
            '{"shardlist": [], "ganctl": {"image_size": [8]}}'), "is not an index of shards"),
        (lambda folder: (folder / "index.json").write_text("[" * 10**5), "is not an index"),
        (lambda folder: (folder / "index.json").write_text("\ud800".encode("utf-8", "ignore")
                                                            .decode()), "is not an index"),
    ],
)  # fmt: skip
def test_shards_that_do_not_match_the_index_are_named(tmp_path, harm, said):
    path = write_shards(tmp_path, [100, 20])
    harm(tmp_path)
    with pytest.raises(DataError, match=said):
        shown(stream.load(path, GRAY), 16)


def test_requests_made_ahead_do_not_repeat_a_failure(tmp_path):
    facts = index.read(write_shards(tmp_path, [40]))
    job = reader.Reader(facts, GRAY, EpochOrder(np.array([40]), 4, 4, 0, 0), False)
    task = prefetch.Request(0, range(4), 4)
    (tmp_path / "0.tar").rename(tmp_path / "away")
    with pytest.raises(DataError, match="no such file"):
        job(task)
    (tmp_path / "away").rename(tmp_path / "0.tar")
    with pytest.raises(DataError, match="no such file"):
        job(task)


def test_batches_are_on_the_training_device(tmp_path):
    data = stream.load(write_shards(tmp_path, [20]), GRAY).to(torch.device("cpu"), 0)
    (batch,) = data.batches(4, range(1), seed=0, epoch=0)
    assert batch.images().shape == (4, 1, 8, 8)
    assert batch.pixels.dtype == torch.uint8
    assert np.ptp(batch.pixels.numpy(), axis=(1, 2, 3)).max() == 0


@pytest.mark.parametrize(("counts", "limit"), [([100, 30, 0, 50], None), ([100, 80], 150)])
def test_the_last_images_of_shards_are_held_out(tmp_path, counts, limit):
    data = stream.load(write_shards(tmp_path, counts), GRAY, limit=limit)
    total = len(data)
    kept = data.hold_out(round(0.2 * total))
    held_out = kept.held_out_images()
    left = held_out.images[:, 0, 0, 0].tolist()
    assert (len(kept), kept.num_held_out) == (total - len(left), len(left))
    assert len(left) == round(0.2 * total)
    assert left != sorted(left), "in random order"
    assert sorted(n for _, _, numbers in shown(kept, 16) for n in numbers) == sorted(
        {*range(total)} - {*left}
    )
    assert not {*left} & {*kept.evenly_spaced(1000)[:, 0, 0, 0].tolist()}
    parts = [shown(kept, 16, share=Share(rank, 2)) for rank in range(2)]
    both = [n for part in parts for _, _, numbers in part for n in numbers]
    assert sorted(both) == sorted({*range(total)} - {*left})
    assert kept.digest == data.digest
    assert data.held_out_images() is None
    digests = [each.held_out_digest for each in (data, kept, data.hold_out(5))]
    assert digests[0] == ""
    assert len({*digests}) == 3


def test_at_most_so_many_held_out_images_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "_MAX_HELD_OUT", 7)
    data = stream.load(write_shards(tmp_path, [50, 50]), GRAY).hold_out(20)
    assert len(data.held_out_images()) == 7
    assert len(data) == 80
