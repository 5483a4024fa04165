"""What browsers send and get."""
