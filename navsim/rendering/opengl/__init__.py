"""Pictures drawn with OpenGL (ModernGL over EGL, no window system): on a GPU, or on the CPU by Mesa."""
