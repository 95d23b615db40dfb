"""The instructor's desk: a class's notebooks in, marks and pages out."""
