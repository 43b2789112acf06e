"""What runs differently on a CUDA device; all of it gives the same on a CPU, where tests hold it against the rest."""
