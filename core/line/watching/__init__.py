"""`cfa watch`: images of a folder, each inspected once, results brought to targets."""
