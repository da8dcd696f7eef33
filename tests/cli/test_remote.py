"""Training on shards in an object store, which is moto's server with the protocol of S3."""

from __future__ import annotations

import pytest

from ganctl import store
from ganctl.datasets.streaming import storage, stream

s3fs = pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")
TINY = ("--size", "8", "--batch-size", "4", "--device", "cpu", "--precision", "fp32",
        "--set", "base_channels=4", "--latent-dim", "8", "--num-samples", "4")  # fmt: skip


@pytest.fixture
def bucket(monkeypatch):
    """Make an empty bucket; return its address."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "someone"), ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"), ("AWS_EC2_METADATA_DISABLED", "true"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setattr(storage, "_RETRIES", ())
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("photos")
    yield "s3://photos"
    s3fs.S3FileSystem().rm("photos", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


@pytest.mark.usefixtures("_no_plot")
def test_streaming_from_an_object_store_equals_streaming_from_disk(
    ok, cli, photos, tmp_path, bucket, monkeypatch
):
    ok("data", "pack", photos, "-o", tmp_path / "s/{000..}.tar", "--per-shard", "5")
    ok("data", "pack", photos, "-o", f"{bucket}/s/{{000..}}.tar", "--per-shard", "5")
    result = cli("data", "pack", photos, "-o", f"{bucket}/s/{{000..}}.tar")
    assert (result.code, "s3://photos/s/000.tar' already exists" in result.err) == (1, True)
    kept = s3fs.S3FileSystem()
    for path in (tmp_path / "s").iterdir():
        assert kept.cat_file(f"photos/s/{path.name}") == path.read_bytes()
    kept.rm_file("photos/s/index.json")
    ok("data", "index", f"{bucket}/s/{{000..002}}.tar")
    for name, data in (("disk", tmp_path / "s/index.json"), ("store", f"{bucket}/s/index.json")):
        monkeypatch.setattr(stream, "_num_processes", lambda _: int(name == "store"))  # noqa: B023
        ok("train", "--data", data, *TINY, "--epochs", "1", "--out", tmp_path / name)
    one, other = (store.read_checkpoint(tmp_path / name) for name in ("disk", "store"))
    assert all(one.generator[key].equal(other.generator[key]) for key in one.generator)

    s3fs.S3FileSystem().rm("photos/s/001.tar")
    monkeypatch.setattr(stream, "_num_processes", lambda _: 0)
    result = cli("train", "--resume", "--epochs", "3", "--out", tmp_path / "store")
    assert result.code == 1
    assert "there is nothing at s3://photos/s/001.tar" in result.err
    result = cli("train", "--data", f"{bucket}/nowhere/index.json", "--out", tmp_path / "new")
    assert (result.code, "there is nothing at s3://photos/nowhere" in result.err) == (1, True)
