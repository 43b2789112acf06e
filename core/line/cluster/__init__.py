"""`--cluster`: folders and object stores on many machines, by Ray. Each inspector is `core.inspection.Inspector`."""
