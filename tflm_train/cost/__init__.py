"""What running a graph costs: multiply-accumulates and instructions."""
