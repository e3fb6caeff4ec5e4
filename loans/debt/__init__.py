"""What a loan owes: interest, payoffs and schedules. Pure."""
