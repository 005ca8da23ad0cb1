"""What a kind of worker is built with: the sampler framework and what all kinds share."""
