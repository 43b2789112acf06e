"""The live view without its window: sources of frames, and the line that gives each a verdict; the newest wins."""
