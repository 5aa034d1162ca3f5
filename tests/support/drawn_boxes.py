"""Boxes for drawn images, as a person would mark them with any tool that writes Pascal VOC."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = """<annotation>
  <size><width>200</width><height>200</height><depth>1</depth></size>
{objects}
</annotation>
"""
BOX = """  <object>
    <name>{name}</name>
    <bndbox><xmin>51</xmin><ymin>1</ymin><xmax>150</xmax><ymax>200</ymax></bndbox>
  </object>"""


def write_boxes(folder: Path, images: Path, second: str | None = None) -> None:
    """Write a box over the middle half of each image in `images`, named after its class folder.

    Args:
        folder: of the boxes.
        images: in class folders.
        second: class of a second box of every other image.
    """
    for number, image in enumerate(sorted(images.glob("**/*.png"))):
        file = (folder / image.relative_to(images)).with_suffix(".xml")
        file.parent.mkdir(parents=True, exist_ok=True)
        names = [image.parent.name, *([second] if second and number % 2 else [])]
        objects = "\n".join(BOX.format(name=name.lower()) for name in names)
        file.write_text(TEMPLATE.format(objects=objects))
