"""Pages of the console that change something of loans and wallets; `loans.admin` registers them all."""
