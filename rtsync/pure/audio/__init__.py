"""Sound as bytes, for client and simulator: the formats of the wire (protocol 4.5), G.711, samples."""
