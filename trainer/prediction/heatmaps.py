"""Pictures of images under the heatmap of their class."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from space.inference.attribution import colored, make_explainer
from space.inference.core.classifier import Classifier
from space.inference.images.decoding import Decoder
from space.inference.predictor import ImageError
from space.inference.text.file_names import FileNames
from trainer.errors import UserError
from trainer.prediction.image_files import ImageFile
from trainer.prediction.row import Row
from trainer.runtime.files import added_once, replaced_whole

# Enough for a screen; a heatmap has no more detail.
LARGEST_SIDE_PX = 1024
JPEG_QUALITY = 85


class Heatmaps:
    """A folder of pictures: each image under the heatmap of its most probable class.

    Unknown surfaces and unreadable files have none: there is no class to explain.

    Args:
        folder: of the pictures.
        predictor: the model.
        decoder: decodes the images.
        growing: whether the list of images never ends; then names depend on the files that are
            there, and not on the images before.

    Attributes:
        pictures: the picture of each image, by its path in a row; empty if the list never ends.

    Raises:
        UserError: the network does not support heatmaps.
    """

    def __init__(
        self, folder: Path, predictor: Classifier, decoder: Decoder, *, growing: bool = False
    ) -> None:
        self.folder, self.predictor, self.decoder = folder, predictor, decoder
        self.growing = growing
        explainer = make_explainer(predictor)
        if explainer is None:
            raise UserError("Heatmaps are not available for this model. Leave out --heatmaps.")
        self._explainer = explainer
        self._names = FileNames()
        self.pictures: dict[str, Path] = {}

    def add(self, file: ImageFile, row: Row, *, resumed: bool = False) -> None:
        """Write the picture of an image, whole or not at all.

        Args:
            file: the image.
            row: its answer.
            resumed: whether an interrupted command may have written it already.
        """
        if row.label is None or row.verdict == "unknown":
            return
        names = FileNames() if self.growing else self._names
        target = self.folder / names.free(f"{file.place}.jpg")
        if not (resumed and target.exists()):
            try:
                image = self.decoder.read(file.path, self.predictor.bit_depth)
            except ImageError:
                # The file was removed or changed after it was predicted; its row stays.
                return
            self._write(target, image, row.label)
        if not self.growing:
            self.pictures[row.path] = target

    def _write(self, target: Path, image: Image.Image, label: str) -> None:
        heat = self._explainer.explain(image, self.predictor.labels.index(label))
        shown = self._explainer.seen(image)
        shown.thumbnail((LARGEST_SIDE_PX, LARGEST_SIDE_PX))
        overlay = colored(heat).resize(shown.size, Image.Resampling.BILINEAR)
        picture = Image.alpha_composite(shown.convert("RGBA"), overlay).convert("RGB")
        target.parent.mkdir(parents=True, exist_ok=True)
        with added_once(target) if self.growing else replaced_whole(target) as partial:
            picture.save(partial, "JPEG", quality=JPEG_QUALITY)
