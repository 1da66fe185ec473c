"""Networks that rebuild scaled windows, and the one task that trains them."""
