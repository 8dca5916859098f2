"""What the tests of MFL have in common, and data for them."""
