"""Pages that people look at in a browser: each is one file that needs nothing else."""
