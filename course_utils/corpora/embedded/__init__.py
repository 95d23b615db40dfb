"""Synthetic speech, made on the spot by espeak-ng, in the layouts of the real corpora."""

from course_utils.corpora.embedded.build import (
    COMMANDS,
    COMMON_VOICE_VERSION,
    DIGITS,
    VERSION,
    WORDS,
    background_noise_folder,
    common_voice,
    say,
    speech_commands,
)

__all__ = [
    "COMMANDS", "COMMON_VOICE_VERSION", "DIGITS", "VERSION", "WORDS", "background_noise_folder",
    "common_voice", "say", "speech_commands",
]
