"""Rules without threads or sockets: values in, values out."""
