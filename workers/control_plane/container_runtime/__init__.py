"""What a container runtime reports about its pods and containers, and how it reaches the control plane."""
