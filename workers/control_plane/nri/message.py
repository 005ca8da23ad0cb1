"""The messages of NRI, as this plugin needs them. PURE."""
