"""What exported files say about themselves, however damaged they are."""

import contextlib
import json
import zipfile

import onnx
import pytest

import ganctl
from ganctl import limits
from ganctl.errors import DataError
from ganctl.export import reading

TEXT = {"ganctl": "1.0", "checkpoint": "ab" * 32, "classes": '["\u00e9t\u00e9", "</script>"]'}


def onnx_file(text):
    graph = onnx.helper.make_graph([], "g", [], [])
    model = onnx.helper.make_model(graph, producer_name="ganctl")
    onnx.helper.set_model_props(model, text)
    return model.SerializeToString()


def test_only_files_of_ganctl_say_so(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(onnx_file(TEXT))
    assert ganctl.inspect(path) == {"path": str(path), "kind": "onnx", "made_with": TEXT}
    path.write_bytes(onnx_file({"author": "someone"}))
    (tmp_path / "a.html").write_text("<html><title>Another page</title></html>")
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    for suffix in ("onnx", "html", "pt2"):
        with pytest.raises(DataError, match=rf"a\.{suffix}' does not say how it was made"):
            ganctl.inspect(tmp_path / f"a.{suffix}")


def test_a_file_that_is_cut_short_or_changed_is_an_error_or_says_nothing(tmp_path):
    path = tmp_path / "a.onnx"
    content = onnx_file(TEXT)
    changed = [content[:length] for length in range(len(content))]
    for place in range(len(content)):
        changed += [content[:place] + bytes([each]) + content[place + 1 :] for each in (0, 255)]
    for each in changed:
        path.write_bytes(each)
        with contextlib.suppress(DataError):
            assert ganctl.inspect(path)["made_with"]


def test_metadata_of_any_size_take_little_memory(tmp_path, monkeypatch):
    (tmp_path / "a.onnx").write_bytes(onnx_file(TEXT))
    monkeypatch.setattr(limits, "PROVENANCE_BYTES", 20)
    with pytest.raises(DataError, match="its metadata are too large"):
        ganctl.inspect(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_bytes(b"\x08\x01" * 20_000)
    with pytest.raises(DataError, match="it has too many parts"):
        ganctl.inspect(tmp_path / "b.onnx")
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr(f"a/extra/{reading.PT2_MEMBER}", json.dumps(TEXT))
    with pytest.raises(DataError, match="does not say"):
        ganctl.inspect(tmp_path / "a.pt2")
