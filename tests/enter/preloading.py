"""To come.

Runs in: the test process.
"""


def cases(s, c, who):
    pass
