"""Delays of the flights that left New York in 2013, by carrier: the demo on real data (``make demo``).

``fetch`` drops the raw data, a file a day, as a foreign system would; ``pipeline`` holds the tasks;
``delays`` and ``chart`` are what the tasks do, as plain functions; ``demo`` shows it all.
"""
