"""The descriptor of a face in torch: dlib's own numbers."""

from __future__ import annotations

import dlib
import numpy as np
import pytest
from skimage import data

from avtool.perceive import faces
from avtool.perceive.descriptor import describe
from avtool.weights import where


@pytest.mark.parametrize("mirrored", [False, True])
def test_descriptors_are_those_of_dlib(mirrored: bool) -> None:
    (chip,) = faces.chips(data.astronaut())
    chip = np.ascontiguousarray(chip[:, ::-1]) if mirrored else chip
    published = dlib.face_recognition_model_v1(str(where("dlib-face-descriptor")))  # pyright: ignore
    assert describe(chip) == pytest.approx(np.array(published.compute_face_descriptor(chip)), abs=1e-5)
