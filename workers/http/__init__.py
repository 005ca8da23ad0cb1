"""HTTP for the workers that serve it: requests, responses, streams, static files, who may ask."""
