"""A metric has one color in every chart."""

from __future__ import annotations

import re
from types import SimpleNamespace

import matplotlib.figure
import pytest

from ganctl import palette, plots
from ganctl.report.charts import TRAINING, charts

LABELS = {
    "g_loss": ("generator loss", "generator loss", "G loss"),
    "d_loss": ("discriminator loss", "discriminator loss", "D loss"),
    "d_real": ("D(x), real images", "D(x), real images", "D(x)"),
    "d_fake": ("D(G(z)), generated images", "D(G(z)), generated images", "D(G(z))"),
}
ROWS = [{"epoch": n, "g_loss": 0.5, "d_loss": 1.2, "d_real": 0.7, "d_fake": 0.3} for n in (1, 2)]


def in_the_plot(monkeypatch):
    figures = []
    monkeypatch.setattr(matplotlib.figure, "Figure", _recorded(matplotlib.figure.Figure, figures))
    plots.losses_png(ROWS, "x")
    lines = [line for axes in figures[0].axes for line in axes.lines]
    return {line.get_label(): line.get_color() for line in lines}


def _recorded(kind, made):
    def make(*arguments, **options):
        made.append(kind(*arguments, **options))
        return made[-1]

    return make


def in_the_report(_):
    page = pytest.importorskip("ganctl.report.page")
    colors = dict(re.findall(r"\.c(\d) { --c: (#\w+); }", page._colors().partition("@media")[0]))
    found = charts(TRAINING, [("run", ROWS)])
    return {line.label: colors[str(line.color)] for chart in found for line in chart.lines}


def on_the_screen(_):
    from ganctl.cli.live.display import LiveScreen

    live = LiveScreen(SimpleNamespace(err=None), preview=False)
    styles = [*live._losses._styles.values(), *live._probabilities._styles.values()]
    return {label: color for color, label in styles}


@pytest.mark.parametrize(
    ("place", "shown"), [*enumerate((in_the_plot, in_the_report, on_the_screen))]
)
def test_each_metric_has_the_same_color_in_every_chart(monkeypatch, place, shown):
    kind = ("light", "light", "terminal")[place]
    found = shown(monkeypatch)
    for metric, labels in LABELS.items():
        assert found[labels[place]] == getattr(palette.color(metric), kind), metric


def test_the_generator_and_its_images_share_a_color():
    assert palette.color("g_loss") == palette.color("d_fake")
    assert palette.color("d_loss") == palette.color("d_real")
    assert palette.color("d_fake") != palette.color("d_real")
