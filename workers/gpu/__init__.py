"""What GPUs do and who uses them, from NVML, amdgpu, kfd and DRM."""
