"""Every decision of the supervisor. PURE."""
