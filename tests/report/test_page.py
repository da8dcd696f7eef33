"""The page as text: complete, self-contained, and safe from text in files."""

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ganctl.config import schema
from ganctl.report import MAX_BYTES, render
from ganctl.report.page import table

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}{% x %}"


class Page(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, content):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(content.decode())

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def page(make_run):
    """The page of one run made of `changes`."""

    def make(**changes):
        return Page(render([make_run(**changes)])[0])

    return make


def test_a_page_shows_everything_about_a_run(page):
    commands = [("Draw samples", "ganctl sample tiny")]
    found = page(commands=commands, starts=[{"command": "ganctl train --seed 3"}])
    for words in ("At a glance", "Losses", "Discriminator output", "Frechet distance",
                  "Precision and recall", "Configuration", "batch_size", "cpu, 1 thread",
                  "ganctl sample tiny", "ganctl train --seed 3", "3 of 2"):  # fmt: skip
        assert words in found.text
    assert [image["data-epoch"] for image in found.all("img")] == ["1", "2", "3"]
    assert ["hidden" in image for image in found.all("img")] == [True, True, False]
    assert all(image["alt"] for image in found.all("img"))


def test_a_run_before_its_first_step_has_a_page(page):
    found = page(epochs=0)
    assert "No training step has been done yet" in found.text
    assert not found.all("img")


def test_problems_come_first(make_run):
    run = dataclasses.replace(make_run(), problems=["a layer holds NaN <b>"])
    found = Page(render([run])[0])
    assert found.text.index("a layer holds NaN <b>") < found.text.index("At a glance")


def test_some_training_images_are_shown(page):
    found = page(sheet=np.zeros((40, 40, 3), np.uint8))
    assert "trained on" in found.all("img")[-1]["alt"]


def test_the_same_training_images_are_shown_once(make_run):
    sheets = [np.zeros((40, 40, 3), np.uint8)] * 2 + [np.ones((40, 40, 3), np.uint8)]
    runs = [make_run(f"{n}", sheet=sheet) for n, sheet in enumerate(sheets)]
    images = Page(render(runs)[0]).all("img")
    assert sum("trained on" in image["alt"] for image in images) == 2


def test_samples_are_shown_beside_their_nearest_training_images(make_run):
    made = make_run()
    noise = np.random.default_rng(0).integers(0, 256, (1200, 1200, 3), dtype=np.uint8)
    for picture, is_shown in ((noise[:40, :40], True), (None, False), (noise, False)):
        content, _ = render([dataclasses.replace(made, nearest=picture)] * 4)
        assert ("Nearest training images" in Page(content).text) == is_shown


def test_nothing_is_loaded_from_outside(make_run):
    content, _ = render([make_run("a"), make_run("b")])
    found = Page(content)
    for _, attributes in found.elements:
        for name in ("src", "href", "srcset", "action", "data", "style"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), attributes
        assert not any(name.startswith("on") for name in attributes)
    policy = found.all("meta")[1]["content"]
    assert policy.startswith("default-src 'none'; img-src data:; ")
    for tag in ("style", "script"):
        text = re.findall(rf"<{tag}>(.*?)</{tag}>", content.decode(), re.DOTALL)
        assert len(text) == 1
        digest = base64.b64encode(hashlib.sha256(text[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_text_from_files_is_escaped(make_run, tiny_checkpoint):
    run = make_run(
        EVIL.replace("/", "_"),
        data={**tiny_checkpoint.data, "name": EVIL, "classes": [EVIL] * 3},
        made_by={EVIL: EVIL, "surrogate": "\udcff\x1b"},
        starts=[{"command": EVIL, "date": EVIL, "from_step": EVIL, "device": EVIL + "\udcff"}],
        commands=[(EVIL, EVIL)],
    )
    for runs in ([run], [run, run]):
        content, _ = render(runs)
        found = Page(content)
        assert EVIL in found.text
        assert len(found.all("script")) == 2
        assert all("onerror" not in attributes for attributes in found.all("img"))
        assert "49" not in re.findall(r"'&(.*?)\{%", found.text)


def test_a_page_is_small_for_any_run(make_run, row, tiny_checkpoint):
    run = make_run(
        epochs=2,
        history=[row(n) for n in range(1, 3001)],
        data={**tiny_checkpoint.data, "name": "n" * 100_000, "classes": ["c" * 1000] * 1000},
        made_by={f"{n} {'m' * 1000}": "v" * 1000 for n in range(500)},
        starts=[{"command": "c" * 10_000}] * 500,
    )
    content, shown = render([run] * 3)
    assert len(content) < MAX_BYTES / 4
    assert len(shown[0].run.rows) == 3000


def test_settings_that_differ_are_shown_separately(make_run, tiny_config):
    other = make_run("other", config=tiny_config(seed=7))
    content = render([make_run("one"), other])[0].decode()
    apart = content.partition('class="differ"')[2].partition("</table>")[0]
    assert re.findall(r'<th scope="row">(\w+)</th>', apart) == ["seed"]
    assert re.findall(r"<td>(\w+)</td>", apart) == ["0", "7"]


def test_runs_with_the_same_name_get_different_names(make_run, tmp_path):
    runs = [make_run("a/run"), make_run("b/run"), make_run("c")]
    _, shown = render(runs)
    assert [one.name for one in shown] == [str(tmp_path / name) for name in ("a/run", "b/run", "c")]
    _, twice = render([runs[2], runs[2]])
    assert len({one.name for one in twice}) == 2


def test_a_table_omits_names_without_any_value():
    rows = table([{"a": "1", "b": ""}, {"c": "2"}])
    assert rows == [("a", ["1", ""]), ("c", ["", "2"])]


def test_a_table_keeps_the_order_of_names():
    rows = table([{"a": "1", "b": "2"}, {"c": "3", "a": "4"}])
    assert [name for name, _ in rows] == ["a", "b", "c"]


def test_all_settings_are_shown(page, tiny_config):
    text = page().text
    assert all(name in text for name in schema.settings(tiny_config()))
