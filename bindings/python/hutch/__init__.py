"""hutch from Python: confine a program on Linux.

    import hutch
    report = hutch.run(["python3", "-c", "print(6 * 7)"], net="none", rlimit_as="512M", capture=True)
    report.exit_code, report.stdout            # 0, b'42\n'

Keys are those of hutch-policy(5), with _ for -; a list gives a key of that kind many times; True and False are yes
and no. What is wrong with them raises hutch.Error with the library's own text. Also here: Policy, Plan, Run, explain(),
check(), keys(); hutch.channel has frames for workers and brokers.
Runs in: any.
"""
from ._api import Error, Plan, Policy, Report, Run, check, explain, keys, run, spawn, version

__all__ = ["Error", "Plan", "Policy", "Report", "Run", "check", "explain", "keys", "run", "spawn", "version"]
