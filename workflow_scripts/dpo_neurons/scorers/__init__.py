"""Scorers: functions from texts to a table of numbers, a row a text, `toxicity` first.

Adding a scorer is a module here and an entry in SCORERS of score_continuations.py.
"""
