"""A loan and a repayment as the contract shows them: the same object in every answer and in every event."""
