"""Which lines and branches of the product tests reach, and PURE modules by their own tests alone."""
