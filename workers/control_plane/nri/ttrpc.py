"""Messages of ttrpc, the request protocol of NRI. PURE."""
