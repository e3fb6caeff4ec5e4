"""What people do at night: look at the wallet, freeze it, decide on an operation in review, rotate key and executor."""
