"""Dispatch: who should go, decided by hard rules and soft weights, every candidate explained (SPEC X1-X4).

Hard rules exclude (`rules.py`), weighted parts rank (`weights.py`), and one assignment gives the open tickets of a
round to the free engineers (`assignment.py`). What nobody could match is found before it happens (`lint.py`).
"""
