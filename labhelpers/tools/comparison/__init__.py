"""All techniques compared under one budget: `lab compare`."""
