"""The page in a browser: its images are those of `sample`, and every control works."""

import io

import numpy as np
import pytest
from PIL import Image

import ganctl

ALL = "seeds => seeds.map(seed => [...ganctl.sample(seed)])"


@pytest.fixture(scope="module")
def fast(model_of, tmp_path_factory):
    """The model that most of these tests need, and its page."""
    model = model_of("fast")
    file = tmp_path_factory.mktemp("page") / "page.html"
    model.export(file)
    return model, file


@pytest.fixture
def visit(browse, fast, tmp_path):
    """Open the page of a model, or of `fast`."""

    def go(model=None, latents=None, **options):
        file = fast[1]
        if model is not None:
            file = tmp_path / "page.html"
            model.export(file, latents=latents)
        page = browse(file, **options)
        page.locator("#save:enabled").wait_for()
        return page

    return go


def caption(page):
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.locator("#caption").inner_text()


def shown(page):
    caption(page)
    return page.evaluate("document.getElementById('canvas').toDataURL()")


@pytest.mark.parametrize(
    ("preset", "channels"), [("fast", 1), ("dcgan", 1), ("guided", 3), ("fast", 4)]
)
def test_the_images_are_those_of_sample(model_of, visit, preset, channels):
    model = model_of(preset, channels)
    seeds = [*range(12), 999]
    drawn = np.array(visit(model).evaluate(ALL, seeds)).reshape(-1, *model.sample([0]).shape[1:])
    expected = model.sample(seeds).pixels.astype(int)
    if channels == 4:  # where alpha is small, colors of one more or less alpha differ widely
        drawn, expected = (a[..., :3] * a[..., 3:] / 255 for a in (drawn, expected))
    assert np.abs(drawn - expected).max() <= 2


def test_classes_and_truncation_are_those_of_sample(fast, visit):
    model, page = fast[0], visit()
    drawn = np.array(page.evaluate("[...ganctl.sample(5, 0, 0.5)]"))
    expected = model.sample([5], classes="0", truncation=0.5).pixels.astype(int).ravel()
    assert np.abs(drawn - expected).max() <= 2


def test_seed_class_truncation_and_directions_change_the_image(visit):
    page = visit()
    seen = [shown(page)]
    assert caption(page) == "Seed 0, class 0"
    page.get_by_role("button", name="Next seed").click()
    assert caption(page) == "Seed 1, class 1"
    seen.append(shown(page))
    page.get_by_label("Class", exact=True).select_option("2")
    assert caption(page) == "Seed 1, class 7"
    seen.append(shown(page))
    page.get_by_role("slider", name="Variety").fill("0.5")
    seen.append(shown(page))
    page.get_by_role("slider", name="Direction 2").fill("3")
    seen.append(shown(page))
    assert len(set(seen)) == len(seen)
    page.get_by_role("button", name="Reset").click()
    assert shown(page) == seen[-2]
    page.get_by_label("Seed", exact=True).fill("5000")
    page.keyboard.press("Enter")
    assert caption(page) == "Seed 999, class 7"
    assert "ganctl sample draws the others" in page.locator("#seed-note").inner_text()
    page.get_by_role("button", name="Previous seed").click()
    assert caption(page).startswith("Seed 998")
    page.evaluate("Math.random = () => 0.5")
    page.get_by_role("button", name="Random").click()
    assert caption(page).startswith("Seed 500")


def test_the_sheet_follows_finger_and_keys(visit):
    page = visit()
    page.get_by_role("radio", name="Sheet").click()
    assert caption(page).endswith("0% across, 0% down")
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert caption(page).endswith("50% across, 50% down")
    page.locator("#frame").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert caption(page).endswith("53% across, 47% down")


def test_the_walk_plays_and_pauses(visit):
    page = visit()
    page.get_by_role("radio", name="Walk").click()
    first = shown(page)
    assert caption(page) == "From seed 0 to seed 1"
    page.get_by_role("slider", name="Walk").fill("3")
    page.get_by_role("button", name="Play").click()
    page.locator("#caption", has_not_text="From seed 0 to seed 1").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    assert shown(page) != first
    page.locator("#frame").focus()
    for name in ("Pause", "Play"):  # at rest in the end: the page is closed next
        page.keyboard.press(" ")
        page.get_by_role("button", name=name).wait_for()


def test_an_image_is_chosen_in_the_grid(visit):
    page = visit()
    radio = page.get_by_role("radio", name="Image")
    radio.focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("radio", name="Grid").is_checked()
    page.locator("#frame").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert "chosen: seed 7" in caption(page)
    page.keyboard.press("Enter")
    assert caption(page).startswith("Seed 7")
    page.get_by_role("radio", name="Grid").click()
    page.locator("#canvas").click(position={"x": 5, "y": 5})
    assert caption(page).startswith("Seed 7")
    assert radio.is_checked()


def test_the_image_is_saved(fast, visit):
    model, page = fast[0], visit()
    with page.expect_download() as event:
        page.get_by_role("button", name="Save as PNG").click()
    assert event.value.suggested_filename.endswith("-picture-seed-0.png")
    with Image.open(io.BytesIO(event.value.path().read_bytes())) as saved:
        factor = saved.height // model.network.height
        pixels = np.array(saved.convert("L"))[::factor, ::factor].astype(int)
        text = saved.text
    assert text == {
        "Software": f"ganctl {ganctl.__version__}", "checkpoint": model.digest,
        "step": str(model.step), "weights": "ema", "page": "picture", "seeds": "0",
    }  # fmt: skip
    assert np.abs(pixels - model.sample([0]).pixels[0, ..., 0].astype(int)).max() <= 2
    page.get_by_role("radio", name="Grid").click()
    page.locator("#class").select_option("2")
    page.locator(".move").first.fill("1.5")
    with page.expect_download() as event:
        page.get_by_role("button", name="Save as PNG").click()
    with Image.open(event.value.path()) as saved:
        text = saved.text
    assert (text["page"], text["class"], text["moved"]) == ("grid", "7", "1=1.5")
    assert text["seeds"] == ",".join(map(str, range(36)))


def test_latents_of_a_file_are_shown_instead_of_seeds(model_of, visit, tmp_path):
    model = model_of("fast")
    five = model.sample([40, 7, 3, 12, 9])
    five.save_latents(tmp_path / "five.npz")
    page = visit(model, latents=tmp_path / "five.npz")
    drawn = np.array(page.evaluate(ALL, [*range(5)])).reshape(five.shape)
    assert np.abs(drawn - five.pixels.astype(int)).max() <= 2
    assert caption(page).startswith("Latent 0, class 1")  # seed 40's own, of three
    page.get_by_role("button", name="Next latent").click()
    assert caption(page).startswith("Latent 1, class 1")
    page.get_by_role("radio", name="Grid").click()
    assert caption(page).startswith("All latents; chosen: latent 1")
    with page.expect_download() as event:
        page.get_by_role("button", name="Save as PNG").click()
    with Image.open(event.value.path()) as saved:
        assert (saved.text["latents"], saved.text["latent"]) == ("five.npz", "1,2,3,4,0,1,2,3,4")


def test_the_theme_and_the_width_follow_the_reader(visit):
    page = visit(color_scheme="dark", viewport={"width": 320, "height": 640})
    ground = "getComputedStyle(document.body).backgroundColor"
    found = [page.evaluate(ground)]
    for _ in range(2):
        page.locator("#theme").click()
        found.append(page.evaluate(ground))
    assert found[0] == found[2] != found[1]
    assert page.get_by_role("button", name="Theme: dark").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select')].filter(one => "
        "!one.labels.length && !one.ariaLabel).length"
    )
    assert unnamed == 0
