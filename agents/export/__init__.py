"""Policies for use elsewhere: an ONNX file, weights alone, and a card that says what they are."""
