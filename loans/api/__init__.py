"""The partner API: endpoints 1 to 8 of the plan, and what was added to them.

One module for each group of endpoints (`public`, `borrow`, `consent`, `repay`, `loan`, `reports`, …), each with the
bodies it takes, the fields it returns, what fills them, the documentation and the view. `views` puts the groups
together. A view translates, makes one domain call and translates back: no rule and no write of the books is here.
"""
