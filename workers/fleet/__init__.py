"""What the workers share that speak to hubs: the socket, the keys of joined hubs, the page from which the beat takes its digest."""
