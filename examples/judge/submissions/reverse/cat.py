# expect: wrong answer
import sys

sys.stdout.write(sys.stdin.read())
