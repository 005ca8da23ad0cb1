"""Frames of the connections that NRI carries over one socket. PURE."""
