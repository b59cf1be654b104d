# expect: memory limit
# Here 400 MiB at most.
keep = [bytearray(1 << 20) for _ in range(400)]
print(len(keep))
