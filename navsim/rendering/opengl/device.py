"""OpenGL context without a visible window, and its shader programs (GLSL 3.30).

Images are drawn upside down, so that the first row that is read back is the top one. The alpha of a pixel is its
semantic class. Colours follow the formulas of `navsim.world.scenery.lighting.Atmosphere` without gamma correction.
"""

import os
import sys
from typing import Any

import moderngl

from navsim.errors import ConfigError
from navsim.world.scenery.meshes import SemanticClass

_VIEW_BLOCK = """
layout(std140) uniform View {
    mat4 clip_from_offset;  // offset: from the eye, along the world's axes
    vec4 eye;               // w: fog density [1/m] times log2(e)
    vec4 ambient;
    vec4 sunlight;
    vec4 horizon;
    vec4 zenith;
    vec4 clouds;            // colour of clouds
    vec4 sun;               // direction towards the sun
    vec4 shadow_map;        // west [m], north [m], pixels per metre
    vec4 ray_right;         // world direction of a pixel at clip (x, y): forward + x right + y up
    vec4 ray_up;
    vec4 ray_forward;
    vec4 rain;             // image width [px], image height [px], intensity, a seed that follows the pose
};
"""
VIEW_FLOATS = 64
"""Floats of a view's uniform block; blocks must start at multiples of 256 bytes."""
_HEAD = "#version 330 core\n" + _VIEW_BLOCK
# Few vectors, all components used, from vertex to fragment shader: on a CPU each costs time for every triangle.
SURFACE_VERTEX = (
    _HEAD
    + """
in vec3 position;
in vec2 uv;
in vec4 attributes;  // sunlight, layer, class
out vec4 surface;  // texture coordinates, layer, sunlight
out vec4 place;  // offset, class
void main() {
    vec3 offset = position - eye.xyz;
    gl_Position = clip_from_offset * vec4(offset, 1.0);
    surface = vec4(uv, floor(attributes.y * 255.0 + 0.5), attributes.x);
    place = vec4(offset, attributes.z);
}
"""
)
_SURFACE_PIXEL = """
uniform sampler2DArray layers;
in vec4 surface;
in vec4 place;
out vec4 pixel;
void finish(float sunshine) {
    vec3 colour = min(texture(layers, surface.xyz).rgb * (ambient.rgb + sunlight.rgb * sunshine), 1.0);
    pixel = vec4(mix(horizon.rgb, colour, exp2(-eye.w * length(place.xyz))), place.w);
}
"""
STANDING_FRAGMENT = (
    _HEAD
    + _SURFACE_PIXEL
    + """
void main() {
    finish(surface.w);
}
"""
)
GROUND_FRAGMENT = (
    _HEAD
    + _SURFACE_PIXEL
    + """
uniform sampler2D shadows;
void main() {
    // Nearest texel: on a CPU, interpolation between four costs as much as the rest of the shader.
    ivec2 texel = ivec2((place.xy + eye.xy - shadow_map.xy) * vec2(shadow_map.z, -shadow_map.z));
    finish(surface.w * texelFetch(shadows, clamp(texel, ivec2(0), textureSize(shadows, 0) - 1), 0).r);
}
"""
)
SKY_VERTEX = (
    _HEAD
    + """
out vec3 ray;
void main() {
    vec2 corner = vec2(gl_VertexID == 2 ? 3.0 : -1.0, gl_VertexID == 1 ? 3.0 : -1.0);  // clockwise like all triangles
    gl_Position = vec4(corner, 1.0, 1.0);
    ray = ray_forward.xyz + corner.x * ray_right.xyz + corner.y * ray_up.xyz;
}
"""
)
SKY_FRAGMENT = (
    _HEAD
    + f"#define SKY_CLASS {SemanticClass.SKY:d}.0\n"
    + """
uniform sampler2D cover;
in vec3 ray;
out vec4 pixel;
void main() {
    vec3 direction = normalize(ray);
    float height = max(direction.z, 0.0);
    vec3 colour = mix(horizon.rgb, zenith.rgb, sqrt(height));
    float cloud = texture(cover, direction.xy / (height + 0.15) * 0.16).r * smoothstep(0.01, 0.22, height);
    colour += sunlight.rgb * (1.0 - cloud) * smoothstep(0.9975, 0.9995, dot(direction, sun.xyz));
    pixel = vec4(min(mix(colour, clouds.rgb, cloud), 1.0), SKY_CLASS / 255.0);
}
"""
)
RAIN_VERTEX = (
    _HEAD
    + """
out vec2 position;  // pixels from the image's upper left corner
void main() {
    vec2 corner = vec2(gl_VertexID == 2 ? 3.0 : -1.0, gl_VertexID == 1 ? 3.0 : -1.0);
    gl_Position = vec4(corner, 0.0, 1.0);
    position = (corner * 0.5 + 0.5) * rain.xy;
}
"""
)
RAIN_FRAGMENT = (
    _HEAD
    + """
in vec2 position;
out vec4 pixel;
float random(vec2 seed) {
    return fract(sin(dot(seed, vec2(12.9898, 78.233))) * 43758.5453);
}
void main() {
    float size = max(rain.y / 80.0, 1.0);  // width of a streak [px]
    float column = floor((position.x + 0.12 * position.y) / size);
    float cell = position.y / (16.0 * size) + random(vec2(column, rain.w)) * 7.0;
    float chance = random(vec2(column, floor(cell) + rain.w));
    float streak = chance < 0.3 * rain.z ? smoothstep(0.0, 0.5, fract(cell)) : 0.0;
    pixel = vec4(mix(horizon.rgb, vec3(1.0), 0.3), 0.35 * streak);
}
"""
)
CONTEXTS: dict[str, dict[str, Any]] = {"EGL": {"backend": "egl"}, "a hidden window": {}}
"""Arguments of ModernGL for each kind of context, in the order in which they are tried.

EGL needs no window system. The other kind is that of the system: GLX, CGL on macOS, WGL on Windows.
"""
VIEW_BINDING = 0
"""Binding point of a view's uniform block."""


def open_context() -> tuple[moderngl.Context, str]:
    """Open the first context of `CONTEXTS` that works; return it and its kind, with the errors of those before it.

    Raises:
        ConfigError: If none works.
    """
    errors = list[str]()
    for kind, options in CONTEXTS.items():
        try:
            context = moderngl.create_context(require=330, standalone=True, **options)
        except Exception as error:  # noqa: BLE001 - glcontext raises no specific error
            errors.append(f"{kind}: {' '.join(str(error).split())}")
        else:
            return context, f"{kind} ({'; '.join(errors)})" if errors else kind
    linux = "EGL and a driver are needed: apt-get install libegl1 libgl1-mesa-dri"
    hint = linux if sys.platform == "linux" else "a graphics driver with OpenGL 3.3 is needed"
    raise ConfigError(f"no OpenGL context ({'; '.join(errors)}); {hint}")


class Device:
    """OpenGL context and its programs, which belong to the process that opened them."""

    def __init__(self) -> None:
        """Open a context.

        Raises:
            ConfigError: If no context is available.
        """
        # By default Mesa's CPU driver starts a thread for each core, which gains little and slows other processes.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        self.context, kind = open_context()
        context = self.context
        self.name = f"{context.info['GL_RENDERER']} through {kind}"
        # OpenGL on macOS ends at 4.1, without these draws.
        self.draws_indirectly = context.version_code >= 430 or "GL_ARB_multi_draw_indirect" in context.extensions
        self.process = os.getpid()
        self.is_open = True
        self.standing = self._program(SURFACE_VERTEX, STANDING_FRAGMENT, layers=0)
        self.ground = self._program(SURFACE_VERTEX, GROUND_FRAGMENT, layers=0, shadows=1)
        self.sky = context.vertex_array(self._program(SKY_VERTEX, SKY_FRAGMENT, cover=0), [])
        self.rain = context.vertex_array(self._program(RAIN_VERTEX, RAIN_FRAGMENT), [])

    def _program(self, vertex: str, fragment: str, **units: int) -> moderngl.Program:
        """Compile a program and set the texture units of its samplers."""
        program = self.context.program(vertex_shader=vertex, fragment_shader=fragment)
        program["View"].binding = VIEW_BINDING  # type: ignore[union-attr]
        for name, unit in units.items():
            program[name] = unit
        return program

    def close(self) -> None:
        """Free the programs and the context."""
        for part in (self.standing, self.ground, self.sky.program, self.rain.program, self.sky, self.rain):
            part.release()
        self.context.release()
        self.is_open = False
