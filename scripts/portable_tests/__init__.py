"""Which tests need no Linux: those of PURE modules whose imports, all the way down, are PURE or of the standard library."""
