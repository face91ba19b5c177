"""Luigi's ``luigi.tools``: what of it Levada has."""
