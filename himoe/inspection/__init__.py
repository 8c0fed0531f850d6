"""What a folder or file is, and what is wrong with a data set: ``himoe inspect`` and ``himoe check``.

``locate`` finds the data set a path belongs to, ``survey`` reads subjects, ``folders`` and ``files`` and
``products`` describe, ``checks`` judges, ``render`` prints.
"""

WINDOW_S = 4.0  # windows of the reference parameters
