"""Pictures: one planned photograph, drawn from the skin up to the camera."""

from functools import lru_cache

from PIL import Image

from skin_platform.synthetic.cameras import CAMERAS, NEW_CAMERA, Camera, photographed
from skin_platform.synthetic.hairs import with_hairs
from skin_platform.synthetic.lesions import Lesion, draw_lesion, faint
from skin_platform.synthetic.looks import look_of, one_lesion
from skin_platform.synthetic.markers import with_marker
from skin_platform.synthetic.people import draw_patient
from skin_platform.synthetic.plan import Shot
from skin_platform.synthetic.seeds import Stream, generator
from skin_platform.synthetic.skin import bare_skin, coloured, relief
from skin_platform.synthetic.views import framed
from skin_platform.synthetic.world import World


def camera_of(world: World, shot: Shot) -> Camera:
    """The device of a photograph: the new one after a drift, else any, so that a device betrays no label."""
    if shot.is_drifted:
        return NEW_CAMERA
    rng = generator(world.seed, Stream.CAMERA, shot.patient, shot.lesion, shot.photo)
    return CAMERAS[int(rng.integers(len(CAMERAS)))]


def draw(world: World, shot: Shot) -> Image.Image:
    """The photograph, upright."""
    rng = generator(world.seed, Stream.PHOTO, shot.patient, shot.lesion, shot.photo)
    patient = draw_patient(world.seed, shot.patient)
    size = world.size_px
    lesion = framed(rng, _lesion(world, shot.patient, shot.lesion, shot.label), size)
    if shot.weak_subgroup:
        lesion = faint(lesion)
    scene = coloured(bare_skin(rng, patient.tone, size), lesion) * relief(rng, size)
    if shot.has_shortcut:
        scene = with_marker(rng, scene)
    return photographed(rng, with_hairs(rng, scene, patient), camera_of(world, shot))


@lru_cache(maxsize=1)  # photographs of a lesion follow each other
def _lesion(world: World, patient: int, number: int, label: int) -> Lesion:
    rng = generator(world.seed, Stream.LESION, patient, number)
    look = one_lesion(rng, look_of(label, len(world.labels)))
    return draw_lesion(rng, look, world.size_px * 7 // 8)
