"""Take a screenshot of a program in a terminal, for the docs.

    python tests/terminal/screenshot.py OUT.png [--until TEXT | --after SECONDS] -- ganctl train ...

Runs the command in an emulated terminal, waits until TEXT is on its screen or for SECONDS, draws
the screen with DejaVu Sans Mono, and stops the command with Ctrl-C.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from emulator import Emulator
from PIL import Image, ImageDraw, ImageFont

FONTS = Path("/usr/share/fonts/truetype/dejavu")
CELL = 8, 16
BRAILLE = (0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)
FRONT, BACK = "#d8d8d8", "#14161a"
NAMED = {"black": "#14161a", "red": "#d05050", "green": "#6db36d", "brown": "#d9b44a",
         "blue": "#4a86d0", "magenta": "#b070c0", "cyan": "#50b0b0", "white": "#d8d8d8",
         "brightblack": "#6a6e76"}  # fmt: skip


def color(name: str, default: str) -> str:
    """Return the name that Pillow has for a color of pyte."""
    if name == "default":
        return default
    return NAMED.get(name, f"#{name}" if len(name) == 6 else default)


def draw(screen) -> Image.Image:
    """Draw the screen; half blocks and dots as rectangles, since few fonts have them."""
    width, height = CELL
    picture = Image.new("RGB", (screen.columns * width, screen.lines * height), BACK)
    pen = ImageDraw.Draw(picture)
    fonts = {bold: ImageFont.truetype(FONTS / f"DejaVuSansMono{'-Bold' * bold}.ttf", 13)
             for bold in (False, True)}  # fmt: skip
    for row in range(screen.lines):
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            front, back = color(cell.fg, FRONT), color(cell.bg, BACK)
            if cell.reverse:
                front, back = back, front
            left, top = column * width, row * height
            box = (left, top, left + width - 1, top + height - 1)
            pen.rectangle(box, back)
            if cell.data == "▀":
                pen.rectangle((*box[:3], top + height // 2 - 1), front)
            elif cell.data == "▄":
                pen.rectangle((left, top + height // 2, *box[2:]), front)
            elif "\u2801" <= cell.data <= "\u28ff":
                for bit, (x, y) in enumerate(BRAILLE):
                    if (ord(cell.data) >> bit) & 1:
                        at = left + 1 + 4 * x, top + 1 + 4 * y
                        pen.rectangle((*at, at[0] + 1, at[1] + 1), front)
            elif cell.data.strip():
                pen.text((left, top), cell.data, front, fonts[cell.bold])
    return picture


def main() -> None:
    """Parse the options, run the command, draw the screen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", default="110x34", help="columns x rows")
    parser.add_argument("--until", help="text to wait for")
    parser.add_argument("--after", type=float, default=0.0, help="seconds")
    parser.add_argument("--term", default="xterm-256color")
    parser.add_argument("--colorterm", default="truecolor")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    columns, rows = map(int, options.size.split("x"))
    environment = {"TERM": options.term, "COLORTERM": options.colorterm}
    with Emulator(options.command, columns, rows, environment) as terminal:
        ready = time.monotonic() + options.after
        terminal.run(
            lambda text: time.monotonic() > ready and (options.until or "") in text, seconds=3600
        )
        draw(terminal.screen).save(options.out, optimize=True)
        terminal.type("\x03")
        terminal.end()


if __name__ == "__main__":
    main()
