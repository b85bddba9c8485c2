"""Scorers: functions from texts to a table of numbers, a row a text, `toxicity` first.

Adding a scorer is a module here and a subcommand in score_continuations.py.
"""
