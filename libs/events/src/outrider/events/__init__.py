"""What happens in Outrider, and the kernel that records, reads and carries it."""
