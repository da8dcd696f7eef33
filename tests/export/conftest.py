"""Models to export."""

import pytest
import torch

from ganctl import checkpoint
from ganctl.config import schema
from ganctl.model import load
from ganctl.training.state import create

NAMES = ("0", "1", "7")


@pytest.fixture(scope="session")
def model_of(tiny_config, tiny_data, tmp_path_factory):
    """Return a model of a preset with random weights, for images with `channels`."""

    def make(preset, channels=1, num_classes=3, **changes):
        config = schema.override(
            tiny_config(preset, **changes), {"channels": channels, "num_classes": num_classes}
        )
        state = create(config, torch.device("cpu"))
        data = {**tiny_data, "classes": list(NAMES[:num_classes])}
        made = checkpoint.Checkpoint(
            config=state.config, step=4, history=[], partial={}, data=data, made_by={},
            **state.weights(), **state.moments(),
        )  # fmt: skip
        path = tmp_path_factory.mktemp("model") / "ckpt.pt"
        path.write_bytes(checkpoint.encode(made))
        return load(path)

    return make
