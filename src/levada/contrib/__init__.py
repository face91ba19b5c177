"""The wings: one folder a product (S3, Hadoop, Spark, ...), each standing on the authors' room.

A wing imports its product's client when first used, and no other wing. It is opened by the scheme of
a URL or by an engine's name, through entry points; nothing in the house imports it.
"""
