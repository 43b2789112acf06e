"""What importing the engine costs and drags in, seen in fresh processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCREEN = ("PySide6", "PyQt5", "PyQt6", "shiboken6", "pyqtgraph", "qtpy", "qtawesome", "cfa_gui")
EXTRAS = ("fastapi", "prometheus_client", "pydantic", "starlette", "uvicorn")
"""Packages of optional extras; a module that needs one may not load without it."""


def loaded_after(program: str, **environment: str) -> set[str]:
    """Top-level names of the modules that a fresh process has loaded."""
    report = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    result = subprocess.run(
        [sys.executable, "-c", f"{program}\n{report}"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def test_that_no_module_of_the_engine_loads_a_screen() -> None:
    program = f"""
import importlib, pkgutil, core
for module in pkgutil.walk_packages(core.__path__, "core."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name not in {EXTRAS}:
            raise
"""
    loaded = loaded_after(program)
    assert {"torch", "timm", "core"} <= loaded
    assert not loaded & set(SCREEN)


def test_that_settings_data_sets_images_and_thresholds_load_no_torch() -> None:
    """The window paints before torch is there."""
    loaded = loaded_after("import core.config, core.threshold, core.trained_model, core.dataset, core.images, core")
    assert not loaded & {"torch", "timm", "torchvision", "sklearn", "cv2", *SCREEN}


def test_that_using_the_engine_reports_to_nobody_and_writes_nothing_into_the_home(tmp_path: Path) -> None:
    program = """
import torch
from core.backbone import random_backbone
from core.model import CfaModel
from core.neighbours import nearest_centres
network = CfaModel(random_backbone("lite0"), descriptor_ratio=8, initial_radius=0.5).eval()
network.set_bank(torch.rand(5, network.bank.shape[1]))
network.compile_all()
nearest_centres(torch.rand(4, 3), torch.rand(5, 3), 1)
"""
    loaded = loaded_after(program, HOME=str(tmp_path), USERPROFILE=str(tmp_path))
    assert "openvino" in loaded
    assert "openvino_telemetry" not in loaded
    assert list(tmp_path.iterdir()) == []
