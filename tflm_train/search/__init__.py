"""What to train: measured on the user's data, then chosen under the device's limits."""
