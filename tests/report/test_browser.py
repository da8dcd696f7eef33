"""The page in a browser: its controls work, and it makes no requests."""

import io

import pytest
from PIL import Image

from ganctl.report import render

sync_api = pytest.importorskip("playwright.sync_api")
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


@pytest.fixture
def visit(browse, tmp_path):
    """Open the page of `runs`."""

    def go(runs, viewport=DESKTOP, **options):
        file = tmp_path / "report.html"
        file.write_bytes(render(runs)[0])
        return browse(file, viewport=viewport, **options)

    return go


def seen(page):
    """Return the epochs of the visible pictures."""
    return page.eval_on_selector_all(
        ".frames img", "all => all.filter(one => one.checkVisibility()).map(one => "
        "Number(one.dataset.epoch))"
    )  # fmt: skip


def shade(page):
    """Return the gray level of the middle of the picture on the screen."""
    with Image.open(io.BytesIO(page.locator(".frames").first.screenshot())) as picture:
        return picture.convert("L").getpixel((picture.width // 2, picture.height // 2))


def test_the_slider_and_the_picture_follow_keyboard_and_mouse(make_run, visit):
    page = visit([make_run(epochs=3)])
    slider = page.get_by_role("slider", name="Epoch", exact=True)
    assert (seen(page), shade(page)) == ([3], 180)
    slider.focus()
    page.keyboard.press("ArrowLeft")
    assert (seen(page), shade(page)) == ([2], 120)
    assert slider.get_attribute("aria-valuetext") == "epoch 2"
    page.keyboard.press("Home")
    assert (seen(page), shade(page)) == ([1], 60)
    box = slider.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
    assert (seen(page), shade(page)) == ([3], 180)


def test_arrow_keys_work_anywhere_on_the_page(make_run, visit):
    page = visit([make_run(epochs=3)])
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert seen(page) == [1]
    page.keyboard.press("ArrowRight")
    assert seen(page) == [2]


def test_play_goes_through_the_epochs_and_stops(make_run, visit):
    page = visit([make_run(epochs=3)])
    button = page.locator("#play")
    button.click()
    assert button.text_content() == "Pause"
    sync_api.expect(button).to_have_text("Play", timeout=20_000)
    assert seen(page) == [3]
    page.keyboard.press("Space")
    assert button.text_content() == "Pause"
    assert seen(page) != [3]
    page.keyboard.press("Space")
    assert button.text_content() == "Play"


def test_a_chart_shows_its_values_at_the_pointer_and_by_keys(make_run, visit):
    page = visit([make_run(epochs=3)])
    chart = page.locator(".chart").first
    values = chart.locator(".legend b")
    plot = chart.get_by_role("slider")
    assert values.first.text_content() == "0.333"
    plot.scroll_into_view_if_needed()
    box = plot.locator("> svg").bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 20)
    assert values.first.text_content() == "1.000"
    assert seen(page) == [3], "hovering selects nothing"
    page.mouse.move(0, 0)
    assert values.first.text_content() == "0.333"
    plot.focus()
    page.keyboard.press("ArrowLeft")
    assert values.first.text_content() == "0.500"
    assert plot.get_attribute("aria-valuetext").startswith("epoch 2: generator loss 0.500")
    assert seen(page) == [2], "keys select for the whole page"
    page.mouse.click(box["x"] + 1, box["y"] + 20)
    assert seen(page) == [1]
    dot = chart.locator("circle[r='4']").first
    assert float(dot.get_attribute("cx").rstrip("%")) == 0


def test_compared_runs_follow_one_slider(make_run, visit):
    page = visit([make_run("long", epochs=3), make_run("short", epochs=1)])
    assert seen(page) == [3, 1]
    page.keyboard.press("ArrowLeft")
    assert seen(page) == [2, 1]
    legend = page.locator(".chart").first.locator(".legend")
    assert " ".join(legend.inner_text().split()) == "long 0.500 short 1.000"


def test_everything_can_be_reached_by_the_keyboard(make_run, visit):
    page = visit([make_run(commands=[("Sample", "ganctl sample run")])])
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(
            "[document.activeElement.id, document.activeElement.className].join(' ').trim()"
        ))  # fmt: skip
    assert {"play", "slider", "plot", "copy", "scroll"} <= reached
    assert page.evaluate("document.querySelectorAll('summary').length") > 0


def test_a_command_is_copied(make_run, visit):
    page = visit(
        [make_run(commands=[("Sample", "ganctl sample 'a b'")])],
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("button", name="Copy: Sample").click()
    sync_api.expect(page.locator("#status")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "ganctl sample 'a b'"


def test_it_fits_phones_and_desktops_light_and_dark(make_run, visit, tiny_config):
    long = make_run("a-name-that-takes-" + "x" * 100, commands=[("Sample", "ganctl " + "y" * 300)],
                    made_by={"command": "z" * 300})  # fmt: skip
    for runs in ([long], [long, make_run("other", config=tiny_config(seed=3))]):
        page = visit(runs)
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        for viewport in (PHONE, DESKTOP):
            page.set_viewport_size(viewport)
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        ground, ink = page.evaluate(
            "['backgroundColor', 'color'].map(name => getComputedStyle(document.body)[name]"
            ".match(/\\d+/g).reduce((sum, n) => sum + Number(n), 0))"
        )
        assert (ground > ink) == (scheme == "light")
        assert abs(ground - ink) > 500


def test_without_scripts_the_last_epoch_is_shown(make_run, visit):
    page = visit([make_run(epochs=3)], java_script_enabled=False)
    assert page.locator(".frames img:visible").get_attribute("data-epoch") == "3"
    assert not page.locator("#controls").is_visible()
    assert "0.333" in page.locator(".legend").first.inner_text()


def test_text_from_files_runs_no_script(make_run, visit, tiny_checkpoint):
    evil = (
        "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title=1\">"
    )
    run = make_run(data={**tiny_checkpoint.data, "name": evil}, made_by={evil: evil},
                   commands=[(evil, evil)])  # fmt: skip
    page = visit([run, run])
    assert page.title().endswith("– ganctl")
    page.keyboard.press("ArrowLeft")
    assert seen(page) == [2, 2]
