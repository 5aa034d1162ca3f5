"""The check for GPUs on a processor: the same steps, with its CUDA parts skipped by name."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.gpu_check import NO_CUDA, Settings, main


def test_a_dry_run_compares_and_resumes(tmp_path: Path) -> None:
    file = tmp_path / "check.json"
    main(Settings("test_convnext", 32, batch_sizes=(2,), steps=2, json=file))
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["profile"] == result["floor_tflops"] == NO_CUDA
    assert result["timm"] == {"skipped": "needs --timm-checkout"}
    assert result["batches"]["2"]["first_steps_equal"] is True
    assert result["batches"]["2"]["recorded_images_per_s"] > 0
    assert result["resume"]["bit_equal"]
    assert result["resume"]["tensors"] > 100
