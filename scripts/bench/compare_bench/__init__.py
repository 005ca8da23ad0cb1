"""Whether the agent became dearer: ratios to references of the same run, held against those that the repository keeps."""
