"""Traces: what can be read from the log of a run that has been, or is still going on."""
