"""The rules of a ticket's life: pure values in, decisions out. No input or output, no clock."""
