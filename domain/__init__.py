"""Words shared by two or more packages: pure values, no input or output, no clock."""
