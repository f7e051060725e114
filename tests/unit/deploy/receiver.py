#!/usr/bin/env python3
"""A receiver of webhooks that does what the path says, mostly bad things.

receiver.py PORT_FILE LOG SECRET [CERTIFICATE_AND_KEY]: writes its port to PORT_FILE when it listens, and a
line for each request to LOG: the path, whether the signature is right, the key, the verb, the site.
"""

import email.utils
import hashlib
import hmac
import http.server
import json
import os
import ssl
import sys
import threading
import time

port_file, log_file, secret = sys.argv[1:4]
log = open(log_file, "a", buffering=1)
asked = set()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        mac = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        signed = hmac.compare_digest(mac, self.headers.get("X-Onward-Signature", ""))
        request = json.loads(body)
        key, kind = self.headers["Idempotency-Key"], self.headers["Content-Type"]
        log.write(f"{self.path} {signed} {key} {kind} {request['verb']} {request['site']}\n")
        try:
            getattr(self, "do_" + self.path.split("/")[1])(*self.path.split("/")[2:])
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.close_connection = True

    def answer(self, status, headers=(), text=None):
        text = f"first\nsaid {status}\n" if text is None else text
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_status(self, status, *rest):
        self.answer(int(status), text="" if status in ("204", "304") else None)

    def do_after(self, status, value):
        self.answer(int(status), [("Retry-After", value)])

    def do_date(self, status, seconds):
        self.answer(int(status), [("Retry-After", email.utils.formatdate(time.time() + int(seconds), usegmt=True))])

    def do_redirect(self):
        self.answer(307, [("Location", "/status/200")])

    def do_once(self):
        first = self.path not in asked
        asked.add(self.path)
        self.answer(500 if first else 200)

    def do_hang(self):
        time.sleep(600)

    def do_flood(self):
        self.send_response(200)
        self.end_headers()
        for _ in range(1600):
            self.wfile.write(b"x" * 65536)

    def do_headers(self):
        self.send_response(200)
        for i in range(100000):
            self.wfile.write(b"X-%d: %s\r\n" % (i, b"y" * 1000))

    def do_drip(self):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b".")
            time.sleep(0.02)

    def do_cut(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbut no more")

    def do_nothing(self):
        pass

    def do_garbage(self):
        self.wfile.write(b"\0\1\2 hello\r\n" * 100)

    def log_message(self, *args):
        pass


def end_with(parent):
    """A test that fails leaves us behind, with its output open."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
server = Server(("127.0.0.1", 0), Receiver)
if len(sys.argv) > 4:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(port_file + ".new", "w") as f:
    f.write(str(server.server_port))
os.rename(port_file + ".new", port_file)
server.serve_forever()
