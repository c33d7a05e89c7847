"""Renderer on OpenGL (ModernGL over EGL, without a window system), on a GPU or on the CPU by Mesa."""
