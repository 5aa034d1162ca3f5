"""Boxes for drawn images, as a person would mark them with any tool that writes Pascal VOC."""

from __future__ import annotations

from pathlib import Path

TEMPLATE = """<annotation>
  <size><width>200</width><height>200</height><depth>1</depth></size>
  <object>
    <name>{name}</name>
    <bndbox><xmin>51</xmin><ymin>1</ymin><xmax>150</xmax><ymax>200</ymax></bndbox>
  </object>
</annotation>
"""


def write_boxes(folder: Path, images: Path) -> None:
    """Write a box over the middle half of each image in `images`, named after its class folder."""
    for image in images.glob("**/*.png"):
        file = (folder / image.relative_to(images)).with_suffix(".xml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(TEMPLATE.format(name=image.parent.name.lower()))
