"""Icons and other data files; read with `importlib.resources.files("resources")`."""
