import io

import numpy as np
import pytest
from matplotlib.axes import Axes
from PIL import Image

from ganctl.plots import losses_png


def history(epochs):
    return [
        {"epoch": n, "g_loss": 1 + 1 / n, "d_loss": 1 - 0.5 / n, "d_real": 0.7, "d_fake": 0.3}
        for n in range(1, epochs + 1)
    ]


@pytest.mark.parametrize("epochs", [1, 40])
def test_losses_and_probabilities_are_drawn_over_the_epochs(epochs, monkeypatch):
    lines, plot = {}, Axes.plot

    def recording(axes, x, y, **style):
        lines[style["label"]] = (list(x), list(y), axes.get_subplotspec().rowspan.start)
        return plot(axes, x, y, **style)

    monkeypatch.setattr(Axes, "plot", recording)
    rows = history(epochs)
    losses_png(rows, "a title")
    numbers = list(range(1, epochs + 1))
    assert lines == {
        "generator loss": (numbers, [row["g_loss"] for row in rows], 0),
        "discriminator loss": (numbers, [row["d_loss"] for row in rows], 0),
        "D(x), real images": (numbers, [0.7] * epochs, 1),
        "D(G(z)), generated images": (numbers, [0.3] * epochs, 1),
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("title", [r"fast on /a$\frac$b", "fast on /日本", "fast on /\udcff"])
def test_any_path_can_be_in_the_title(title):
    losses_png(history(1), title)


def test_the_legends_cover_nothing(monkeypatch):
    legends, legend = [], Axes.legend

    def recording(axes, **style):
        legends.append(legend(axes, **style))
        return legends[-1]

    monkeypatch.setattr(Axes, "legend", recording)
    losses_png(history(40), "a title")
    upper, lower = legends
    above = {upper: upper.axes.title.get_window_extent(), lower: upper.axes.bbox}
    for legend in (upper, lower):
        box = legend.get_window_extent()
        assert legend.axes.bbox.y1 <= box.y0
        assert box.y1 <= above[legend].y0
        assert legend.axes.bbox.x0 <= box.x0
        assert box.x1 <= legend.axes.bbox.x1


def test_the_plot_is_a_png_with_something_on_it():
    with Image.open(io.BytesIO(losses_png(history(3), "a title"))) as image:
        assert image.format == "PNG"
        assert image.size == (800, 600)
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 10


def test_the_picture_is_a_function_of_history_and_title():
    once = losses_png(history(3), "a title")
    assert losses_png(history(3), "a title") == once
    assert losses_png(history(4), "a title") != once
    assert losses_png(history(3), "another title") != once
