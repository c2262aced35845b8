"""The towers as ONNX graphs, made from a config and arrays. No torch."""
