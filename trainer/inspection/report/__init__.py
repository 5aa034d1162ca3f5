"""The report of an inspection, and its findings: the problem, its extent, what to do."""
