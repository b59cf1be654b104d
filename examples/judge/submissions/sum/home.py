# expect: wrong answer
# Looks for keys in the home, and for the answers themselves.
import os

found = []
for top in ("/root", "/home", os.path.expanduser("~"), "/srv", "/tmp", "/box"):
    for base, _, files in os.walk(top):
        found += [os.path.join(base, f) for f in files if f.endswith(".out") or ".ssh" in base]
print("found", len(found))
for name in found[:5]:
    print(open(name).read())
