"""What runs around every request: pure ASGI, so that it costs microseconds."""
