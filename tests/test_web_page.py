"""Web pages in one file."""

import base64
import hashlib

from ganctl import web_page


def test_the_policy_allows_the_page_s_own_code_and_no_requests(tmp_path):
    template = tmp_path / "page.html"
    template.write_text("{{ policy }}\n<style>{{ style }}</style>{{ script }}{{ name }}")
    page = web_page.render(template, "a > b {}", {"script": "1 < 2"}, name="<b>").decode()
    policy, body = page.split("\n")

    def hashed(text):
        return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"

    assert hashed("a > b {}") in policy
    assert hashed("1 < 2") in policy
    assert "default-src &#39;none&#39;" in policy
    assert "wasm" not in policy
    assert "blob:" not in policy
    assert body == "<style>a > b {}</style>1 < 2&lt;b&gt;"


def test_webassembly_and_other_images_are_allowed_where_a_page_has_them(tmp_path):
    template = tmp_path / "page.html"
    template.write_text("{{ policy }}")
    page = web_page.render(template, "", {}, images="data: blob:", has_wasm=True).decode()
    assert "img-src data: blob:;" in page
    assert "wasm-unsafe-eval" in page
