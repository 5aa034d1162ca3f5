"""Models in one file, ONNX or OpenVINO: written, read as untrusted input, run without PyTorch."""
