"""Export of policies: an ONNX file, the weights, and a model card."""
