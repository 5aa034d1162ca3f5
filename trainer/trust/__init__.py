"""Whether a prediction can be acted on: calibration, sets, rejection, operating point."""
