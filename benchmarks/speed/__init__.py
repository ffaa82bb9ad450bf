"""How the speed model is calibrated from published measurements, and how it does on those it has not seen."""
