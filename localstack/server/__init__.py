"""What it takes to have a LocalStack of one's own on this machine, with Python's standard library alone.

    interrupts     signals, noted and looked at where it is safe
    child          a process and everything it starts, stopped as one
    installation   the virtual environment with the pinned packages
    instance       one running LocalStack: its port, its folder, the proof that it is ours
    standing       the instance that stays between `up` and `down`
"""
