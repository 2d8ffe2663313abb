"""Studies of weak-to-strong training on frozen features.

On every division of the rows the supervisor's head is fitted to true labels on one part of the
training rows and labels the other part; the student's head is projected onto those labels; both
are judged on held-out rows, beside the ceiling, the direct baseline and the mean.
"""
