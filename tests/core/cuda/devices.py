"""The devices that a test of this folder runs on."""

import pytest
import torch

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]
"""The same code on both: without a device, the CPU shows that it is right."""
