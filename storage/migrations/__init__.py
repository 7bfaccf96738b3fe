"""The schema as numbered SQL files; a file that has landed is never edited, a new one follows it."""
