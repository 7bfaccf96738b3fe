"""What opening a ticket needs from the database; storage/intake.py is the way in."""
