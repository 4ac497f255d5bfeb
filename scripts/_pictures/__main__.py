"""`scripts/pictures [FOLDER]`: draws each picture and says where it is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib as mpl

from . import choice, draw, live

PICTURES = {"kmeans-or-mixture.png": choice.figure, "live.png": live.figure}
IMAGES = Path(__file__).resolve().parents[1] / "images"


def main() -> int:
    parser = argparse.ArgumentParser("scripts/pictures", description="Draws the README's pictures.")
    parser.add_argument("folder", nargs="?", type=Path, default=IMAGES, help="default: scripts/images")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(draw.STYLE):
        for name, figure in PICTURES.items():
            draw.write(figure(), folder / name)
            print(f"{folder / name}: {(folder / name).stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except OSError as error:
        print(f"scripts/pictures: {error}", file=sys.stderr)
        sys.exit(2)
