import json

import pyarrow as pa
import pytest

from ganctl.config.image_settings import ImageSettings
from ganctl.datasets.sources.columns import Columns, find
from ganctl.errors import DataError, UsageError

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def schema(features=None, **columns):
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    return pa.schema(columns, metadata)


def class_label(*names):
    return {"names": list(names), "_type": "ClassLabel"}


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (schema(image=IMAGE, label=pa.int64()), Columns("image", "image.bytes", "label")),
        (schema(a=pa.binary(), id=pa.int64()), Columns("a", "a")),
        (schema(a=pa.large_binary(), image=IMAGE), Columns("image", "image.bytes")),
        (schema(a=pa.binary(), Class=pa.string()), Columns("a", "a", "Class")),
        (
            schema(
                {"second": {"_type": "Image"}, "kind": class_label("cat", "dog")},
                first=IMAGE, second=IMAGE, label=pa.int64(), kind=pa.int64(),
            ),
            Columns("second", "second.bytes", "kind", ("cat", "dog")),
        ),
        (  # names that cannot be told apart
            schema({"label": class_label("cat", "cat")}, a=pa.binary(), label=pa.int64()),
            Columns("a", "a", "label"),
        ),
    ],
)  # fmt: skip
def test_columns_are_found_by_their_features_or_their_types(columns, found):
    assert find(columns, "a.parquet", ImageSettings()) == found


@pytest.mark.parametrize(
    ("columns", "image", "label", "found"),
    [
        (schema(image=IMAGE, mask=IMAGE), "mask", None, Columns("mask", "mask.bytes")),
        (schema(a=pa.binary(), x=pa.bool_()), None, "x", Columns("a", "a", "x")),
        (
            schema({"fine": class_label("b", "a")}, a=IMAGE, fine=pa.int64(), label=pa.int64()),
            None,
            "label",
            Columns("a", "a.bytes", "label"),
        ),
    ],
)
def test_columns_can_be_named(columns, image, label, found):
    settings = ImageSettings(image_column=image, label_column=label)
    assert find(columns, "a.parquet", settings) == found


@pytest.mark.parametrize(
    ("columns", "image", "label", "error", "message", "hint"),
    [
        (schema(url=pa.string()), None, None, DataError,
         r"a.parquet has no column of images: its columns are url \(string\)", "content of image"),
        (schema(), None, None, DataError, "its columns are none", "content of image"),
        (schema(image=IMAGE, mask=IMAGE), None, None, UsageError,
         "several columns of a.parquet may be the images: image, mask", "image_column='image'"),
        (schema(a=IMAGE, label=pa.int8(), y=pa.int8()), None, None, UsageError,
         "may be the classes: label, y", "label_column='label'"),
        (schema(a=IMAGE), "b", None, UsageError, "a.parquet has no column 'b'", "image_column: a"),
        (schema(a=IMAGE, x=pa.int64()), "x", None, UsageError,
         "the column 'x' of a.parquet has no images: it is int64", "image_column: a"),
        (schema(a=IMAGE, x=pa.list_(pa.int64())), None, "x", UsageError,
         "neither whole numbers nor names: it is list", "None"),
        (pa.schema([("a", IMAGE), ("a", IMAGE)]), None, None, DataError, "the same name", "None"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(columns, image, label, error, message, hint):
    with pytest.raises(error, match=message) as caught:
        find(columns, "a.parquet", ImageSettings(image_column=image, label_column=label))
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "7", "[" * 100_000, '{"info": {"features": 7}}', "{}"])
def test_features_that_cannot_be_read_are_ignored(text):
    columns = pa.schema({"a": IMAGE, "label": pa.int64()}, {"huggingface": text})
    assert find(columns, "a", ImageSettings()) == Columns("a", "a.bytes", "label")
