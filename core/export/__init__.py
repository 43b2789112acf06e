"""A trained model for other runtimes: the whole inspection as one graph, checked against the original."""
