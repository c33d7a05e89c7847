"""Renderer on OpenGL (ModernGL, over EGL or a hidden window), on a GPU or on the CPU by Mesa."""
