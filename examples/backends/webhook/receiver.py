#!/usr/bin/env python3
"""receiver.py --secret FILE --state DIRECTORY [--listen ADDRESS:PORT] COMMAND…: the other end of an http backend.

Takes signed requests, runs COMMAND for each with the request on its standard input, and answers by its exit
status: 0 is 200, 75 is 503 with Retry-After (ask again later), anything else 500. What was done under a key is
not done again, and no generation after a newer one. The host that asks has

    backends:
      hook: {http: {url: "https://this-host.example/{site}", secret_file: /etc/onwardfs/hook.key}}

and the same secret in its file. Put it behind something that speaks TLS.
"""

import argparse
import fcntl
import hashlib
import hmac
import http.server
import json
import os
import re
import subprocess

MOST = 1 << 20  # bytes of a request


def read_secret(path):
    with open(path, "rb") as f:
        return f.read().rstrip(b"\r\n")


def deploy(options, request):
    """The status and the text of the answer. One call at a time for each site, also over a restart."""
    site, generation = request["site"], int(request["generation"])
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", site):
        return 400, "no name of a site"
    with open(os.path.join(options.state, site), "a+") as done:
        try:
            fcntl.flock(done, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 503, "another request for this site is under way"
        done.seek(0)
        last = int(done.read() or 0)
        if generation == last:
            return 200, "done before"
        if generation < last:
            return 409, f"generation {last} is here already"
        run = subprocess.run(options.command, input=json.dumps(request), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace")
        if run.returncode == 0:
            done.truncate(0)
            done.write(str(generation))
            done.flush()
            os.fsync(done.fileno())
        return {0: 200, 75: 503}.get(run.returncode, 500), run.stdout


class Receiver(http.server.BaseHTTPRequestHandler):
    timeout = 30

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MOST:
            return self.answer(413, "too large")
        body = self.rfile.read(int(length))
        secret = read_secret(self.server.options.secret)
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, self.headers.get("X-Onward-Signature", "")):
            return self.answer(403, "the signature is wrong")
        request = json.loads(body)  # signed: what is in it comes from onwardfs
        if request["verb"] != "apply":
            return self.answer(501, f"cannot {request['verb']}")
        if self.headers.get("Idempotency-Key") != f"{request['site']}/{request['generation']}":
            return self.answer(400, "the key is not that of the request")
        return self.answer(*deploy(self.server.options, request))

    def answer(self, status, text):
        text = text.encode() + b"\n"
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "5")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    os.makedirs(options.state, exist_ok=True)
    address, port = options.listen.rsplit(":", 1)
    server = http.server.ThreadingHTTPServer((address, int(port)), Receiver)
    server.options = options
    print(f"listening on {address}:{server.server_port}", flush=True)
    server.serve_forever()


main()
