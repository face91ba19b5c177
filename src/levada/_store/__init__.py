"""The memory: rows in, rows out, no opinions. Still empty; the embedded host keeps no rows on disk.

It takes the changes of a batch in one transaction and gives the rows back at reload; nothing but
``_server`` and ``testing`` imports it.
"""
