"""What capture, delivery and views cost, against nginx forwarding the same bytes in the same run.

Prints one line a figure: what, measured, limit. Exits 1 when a limit is exceeded.
CPU is user + system of the proxy's own processes; memory is the resident peak of the process.
`--small` makes every upload 32 times smaller, to see that the bench itself works.
"""

import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import socket
import statistics
import tempfile
import time

from common import MIB, SMALL, TICK, Bench, cpu, cpu_of_threads, peak_resident, resident, workers, wrk

UPLOAD = (64 if SMALL else 2048) * MIB
SLOW_CLIENTS = 50 if SMALL else 500
USERS, DOCUMENTS = (100, 20) if SMALL else (1000, 1000)
SECRET = "a secret of thirty-two bytes or so"


def main():
    with tempfile.TemporaryDirectory() as folder:
        bench = Spine(folder)
        try:
            bench.uploads()
            bench.slow_uploads()
            bench.views()
            bench.caches()
        finally:
            bench.stop()
    bench.finish()


class Spine(Bench):
    def __init__(self, folder):
        super().__init__(folder, "sink", "app", "plain", "dws", "transom", "admin")
        self.sink("sink")
        body = json.dumps({"data": {"id": 1, "text": "x" * 960}})
        self.master = self.nginx("nginx", PLAIN_AND_APP.format(body=body, **self.ports), "plain")
        self.sandbox("--size-limit", "4 GiB")

    # A 2 GiB upload: memory, and CPU against nginx.
    def uploads(self):
        ratios = []
        for _ in range(1 if SMALL else 3):
            transom = self.start_transom()
            idle, before = resident(transom), cpu([transom])
            self.upload(self.ports["transom"])
            self.wait_delivered()
            spent = cpu([transom]) - before
            peak = peak_resident(transom)
            self.end(transom)
            nginx = workers(self.master)
            before = cpu(nginx)
            self.upload(self.ports["plain"])
            ratios.append(spent / max(cpu(nginx) - before, 1 / TICK))
            print(f"  transom {spent:.2f} s, nginx {cpu(nginx) - before:.2f} s, peak {peak / MIB:.1f} MiB, idle {idle / MIB:.1f} MiB", flush=True)
        self.say("upload, capture and delivery: CPU / nginx's forwarding", statistics.median(ratios), 2.5)
        self.say("upload: peak memory of the process", peak / MIB, 64, " MiB")
        self.say("upload: peak memory above idle", (peak - idle) / MIB, 40, " MiB")

    def upload(self, port):
        head = b'--B\r\ncontent-disposition: form-data; name="file"; filename="big.pdf"\r\n\r\n%PDF-1.4\n'
        tail = b"\r\n--B--\r\n"
        block = os.urandom(MIB)
        connection = socket.create_connection(("127.0.0.1", port))
        length = len(head) + UPLOAD + len(tail)
        request = (f"POST /api/files HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {token()}\r\nconnection: close\r\n"
                   f"content-type: multipart/form-data; boundary=B\r\ncontent-length: {length}\r\n\r\n")
        connection.sendall(request.encode() + head)
        for _ in range(UPLOAD // MIB):
            connection.sendall(block)
        connection.sendall(tail)
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
        assert reply.startswith(b"HTTP/1.1 201"), reply[:300]

    def wait_delivered(self, documents=1):
        while True:
            text = self.get("admin", "/metrics")
            delivered = re.search(r'outcomes_total\{step="deliver",reason="delivered"\} (\d+)', text)
            if delivered and int(delivered.group(1)) >= documents:
                return
            assert 'reason="outcome_unknown"' not in text, text
            time.sleep(0.2)

    # Many slow uploads at once: memory.
    def slow_uploads(self):
        transom = self.start_transom()
        asyncio.run(slow(self.ports["transom"], SLOW_CLIENTS))
        self.say(f"{SLOW_CLIENTS} slow uploads of 1 MiB at once: peak memory", peak_resident(transom) / MIB, 150, " MiB")
        self.end(transom)

    # A view from the session cache against a pass-through request.
    def views(self):
        transom = self.start_transom()
        self.upload_small()
        self.wait_delivered()
        for kind, path, limit in (("response header", "/header/1", 1.15), ("JSON member", "/json/1", 1.3)):
            for _ in range(100):
                if "eyJ" in raw_get(self.ports["transom"], path):
                    break
                time.sleep(0.1)
            else:
                raise AssertionError(f"{path} never carries a session")
            ratios, costs = [], []
            for _ in range(2 if SMALL else 15):
                # Between two others, so that what the machine does meanwhile counts for both.
                before, viewed, after = (self.cost(transom, at) for at in ("/pass/1", path, "/pass/1"))
                passed = (before + after) / 2
                ratios.append(viewed / passed)
                costs.append((viewed * 1e6, passed * 1e6))
            print("  us per request (view, pass):", ", ".join(f"{v:.1f}/{p:.1f}" for v, p in costs), flush=True)
            self.say(f"view from the session cache, {kind}: CPU / pass-through", statistics.median(ratios), limit)
        self.end(transom)

    # Every user looks at every document, until each cache is as full as it gets: memory.
    def caches(self):
        transom = self.start_transom()
        for document in range(DOCUMENTS):
            self.upload_small(document + 1)
        self.wait_delivered(DOCUMENTS)
        tokens = ", ".join(f'"{token(f"user {user}")}"' for user in range(USERS))
        script = self.write("everybody.lua", EVERYBODY.format(documents=DOCUMENTS, users=USERS, tokens=tokens))
        before = resident(transom)
        requests, _ = wrk(self.ports["transom"], "", "-c64", "-d5s" if SMALL else "-d60s", "-s", script)
        grown = resident(transom) - before
        minted = re.search(r"sessions_minted_total (\d+)", self.get("admin", "/metrics")).group(1)
        print(f"  {requests} views of {DOCUMENTS} documents by {USERS} users, {minted} sessions minted", flush=True)
        self.say("caches of sessions, decisions and tokens: memory", grown / MIB, 64, " MiB")
        self.end(transom)

    def upload_small(self, document=1):
        body = b'--B\r\ncontent-disposition: form-data; name="file"; filename="s.pdf"\r\n\r\n%PDF-1.4\n\r\n--B--\r\n'
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["transom"])
        connection.request("POST", "/api/files", body, {"authorization": f"Bearer {token()}", "content-type": "multipart/form-data; boundary=B", "x-id": str(document)})
        assert connection.getresponse().status == 201

    def cost(self, transom, path):
        before = cpu_of_threads(transom)
        requests, _ = wrk(self.ports["transom"], path, "-c64", "-d1s", "-H", f"Authorization: Bearer {token()}")
        return (cpu_of_threads(transom) - before) / requests

    def start_transom(self):
        store = tempfile.mkdtemp(dir=self.folder)
        transom = self.transom(CONFIG.format(store=store, secret=SECRET, **self.ports))
        time.sleep(0.5)
        return transom


async def slow(port, clients):
    async def one(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = b'--B\r\ncontent-disposition: form-data; name="file"; filename="s.pdf"\r\n\r\n%PDF-1.4\n'
        tail = b"\r\n--B--\r\n"
        length = len(head) + MIB + len(tail)
        writer.write(f"POST /api/files HTTP/1.1\r\nhost: app\r\nauthorization: Bearer {token()}\r\nconnection: close\r\n"
                     f"content-type: multipart/form-data; boundary=B\r\ncontent-length: {length}\r\n\r\n".encode() + head)
        for _ in range(32):
            writer.write(os.urandom(MIB // 32))
            await writer.drain()
            await asyncio.sleep(0.25)
        writer.write(tail)
        reply = await reader.read()
        assert reply.startswith(b"HTTP/1.1 201"), reply[:200]
        writer.close()

    await asyncio.gather(*(one(number) for number in range(clients)))


def token(user="ann"):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part({"sub": user, "exp": EXPIRES})
    mac = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


EXPIRES = int(time.time()) + 7200


def raw_get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path, headers={"authorization": f"Bearer {token()}"})
    reply = connection.getresponse()
    return str(reply.getheaders()) + reply.read().decode()


CONFIG = """
[server]
listen = "127.0.0.1:{transom}"
admin = "127.0.0.1:{admin}"
workers = 1

[app]
url = "http://127.0.0.1:{app}"
remember_decisions = "1m"

[dws]
url = "http://127.0.0.1:{dws}/viewer"
api_key = "k"

[store]
path = "{store}/data"

[[identity]]
name = "app"
tokens = [{{ bearer = true }}]
algorithms = ["HS256"]
key = {{ secret = "{secret}" }}

[documents.files]
probe = "GET /app/{{id}}"
[[documents.files.upload]]
route = "POST /api/files"
id = {{ json = "$.data.id" }}
max_size = "4 GiB"
[[documents.files.view]]
route = "GET /header/{{id}}"
session = {{ response_header = "X-Viewer-Session" }}
[[documents.files.view]]
route = "GET /json/{{id}}"
session = {{ json = "/data/session" }}
[[documents.files.view]]
route = "GET /probed/{{id}}"
authorize = ["token", "probe"]
session = {{ response_header = "X-Viewer-Session" }}
"""

EVERYBODY = """
local tokens, n = {{ {tokens} }}, -1
request = function()
  n = n + 1
  local headers = {{ Authorization = "Bearer " .. tokens[n % {users} + 1] }}
  return wrk.format("GET", "/probed/" .. math.floor(n / {users}) % {documents} + 1, headers)
end
"""

PLAIN_AND_APP = """
  upstream sink {{ server 127.0.0.1:{sink}; }}
  server {{
    listen 127.0.0.1:{app};
    location = /api/files {{ proxy_pass http://sink; proxy_request_buffering off; proxy_http_version 1.1; }}
    location / {{ return 200 '{body}'; }}
  }}
  server {{
    listen 127.0.0.1:{plain};
    location / {{ proxy_pass http://sink; proxy_request_buffering off; proxy_http_version 1.1; }}
  }}
"""

if __name__ == "__main__":
    main()
