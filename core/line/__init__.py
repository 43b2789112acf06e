"""On the line: what takes a model to where parts are made. The scores are those of `core.inspection.Inspector`."""
