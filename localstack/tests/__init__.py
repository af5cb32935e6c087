"""Tests of what starts and stops LocalStack.

    test_installation   the virtual environment and its stamp
    test_instance       ports, proofs and ends, with a stand-in for LocalStack
    test_run            `localstack.py` itself, with the real one
    test_scenarios      the scenarios' files, and what keeps them on this machine
"""
