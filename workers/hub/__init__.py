"""A hub: it hears the beats of its nodes, holds their live state, stores their rows, and answers questions about all of them."""
