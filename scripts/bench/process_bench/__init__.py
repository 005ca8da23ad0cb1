"""What the process sampler costs, beside other programs that watch the same processes in the same run."""
