"""Named sets of cameras: the source's three, PilotNet's one, and the demo's small one.

The sources give the sizes of the pictures; where the cameras sit and how wide they see is not known of them and is
our choice.
"""

from enum import StrEnum

from navsim.sensing.camera import Camera


class Rig(StrEnum):
    """Which cameras a car carries."""

    OWN = "own"
    """Those given one by one."""
    DEMO = "demo"
    """One front camera, 128x48 pixels: little to learn from, quick to learn."""
    PILOTNET = "pilotnet"
    """One front camera, 200x66 pixels (Bojarski et al. 2016, arXiv 1604.07316, figure 4)."""
    AMINI2019 = "amini2019"
    """Front, left and right camera, 200x80 pixels each (Amini et al., ICRA 2019, figure 2)."""


RIGS: dict[Rig, tuple[Camera, ...]] = {
    Rig.DEMO: (Camera(),),
    Rig.PILOTNET: (Camera("front", 200, 66, fov_deg=100.0),),
    Rig.AMINI2019: (
        Camera("front", 200, 80, fov_deg=90.0),
        Camera("left", 200, 80, fov_deg=90.0, yaw_deg=60.0),
        Camera("right", 200, 80, fov_deg=90.0, yaw_deg=-60.0),
    ),
}
"""The cameras of each rig, all of one size."""
