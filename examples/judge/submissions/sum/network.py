# expect: wrong exit
# Asks another machine for the answer.
import socket

s = socket.create_connection(("192.0.2.1", 80), timeout=1)
s.sendall(b"GET /answer HTTP/1.0\r\n\r\n")
print(s.recv(100).decode())
