# expect: output limit
# Writes without end; here 16 MiB at most.
for _ in range(1 << 14):
    print("x" * 1023)
