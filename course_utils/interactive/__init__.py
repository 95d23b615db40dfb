"""What moves in a notebook: live training curves, the microphone, and explorers.

A static result always stands first, so that a page without a kernel is complete; drawing is left
to ``plotting``. Where there is no notebook (a script, a test), nothing is shown.
"""

from course_utils.interactive.by_ear import ByEar
from course_utils.interactive.curves import LiveCurves
from course_utils.interactive.decoding import BeamExplorer, CTCExplorer
from course_utils.interactive.effects import AugmentationExplorer, RobustnessExplorer
from course_utils.interactive.explorers import ConfusionPicker, FeatureExplorer, ShiftExplorer
from course_utils.interactive.kernels import KernelExplorer
from course_utils.interactive.listener import Listener, listen
from course_utils.interactive.microphone import (
    ClipCollector,
    Recorder,
    VoicePanel,
    your_voice,
)
from course_utils.interactive.opening import first_words

__all__ = [
    "AugmentationExplorer", "BeamExplorer", "ByEar", "CTCExplorer", "ClipCollector",
    "ConfusionPicker", "FeatureExplorer", "KernelExplorer", "Listener", "LiveCurves", "Recorder",
    "RobustnessExplorer", "ShiftExplorer", "VoicePanel", "first_words", "listen", "your_voice",
]
