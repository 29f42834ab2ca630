"""Everything that opens sockets: transports, the lane for hot calls, calls to S3, and one module for each service."""
