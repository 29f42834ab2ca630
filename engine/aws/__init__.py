"""Everything that opens sockets: the lane for hot calls, downloads, and one module for each service."""
