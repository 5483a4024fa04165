"""The page of `examples/flask_chat`, in a browser."""
