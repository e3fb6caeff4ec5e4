"""The lending contracts: their ABIs as web3's objects, readings, operations with the logs that prove them, funding.

Everything that is encoded for a contract or decoded from one passes through here, once. Keeps M3: a transfer funds
repayments of at most its value, once.
"""
