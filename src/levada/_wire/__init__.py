"""The words of clients and servers on the wire: JSON over HTTP, their limits, their table of routes.

Requests refuse fields that they do not know, answers may grow new ones: a server takes clients of its
own version and of the one before, a client takes newer servers. Nothing here opens a socket.
"""
