# expect: wall limit
import time

time.sleep(8)
print(0)
