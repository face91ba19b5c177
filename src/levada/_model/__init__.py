"""The ground: the words that rooms share. Plain values and ports, standard library only.

``messages`` what is asked of a scheduler and answered; ``spec`` a task as plain data; ``status`` the
statuses and how attempts end; ``ports`` the protocols that rooms meet each other by.
"""
