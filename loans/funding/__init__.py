"""Where the USDC of a repayment comes from: deposits at the platform account, and repayments on trust (M3)."""
