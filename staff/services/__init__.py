"""What staff changes that is no domain's: accounts, and the platform's own chores done by a person."""
