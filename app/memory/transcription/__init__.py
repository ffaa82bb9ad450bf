"""The code of a decoder layer, transcribed operation by operation onto a tape.

Each function follows the lines of the module that it is named for, since what is kept for backward depends on
how the code is written, not only on what it computes.
"""

from app.memory.transcription.elements import Code
from app.memory.transcription.layer import decoder_layer

__all__ = ["Code", "decoder_layer"]
