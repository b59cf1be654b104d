# expect: accepted
import sys

sys.stdout.write("".join(line.rstrip("\n") + "\n" for line in reversed(sys.stdin.readlines())))
