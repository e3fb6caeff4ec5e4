"""Text from outside, made safe to read, keep and show."""
