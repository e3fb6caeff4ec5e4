"""The partner API of webhooks: the feed of events behind them."""
