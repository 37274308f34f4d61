"""What scripts/faces-test is made of."""
