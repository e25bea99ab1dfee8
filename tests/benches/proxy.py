"""What passing requests on costs, against nginx and HAProxy with the same headers, before the same app, one worker each.

Prints one line a figure: what, Transom / nginx, limit; and Transom / HAProxy for information. CPU is user + system of the
proxy's own processes, per request. Every figure is the median of short runs that take turns, so that what else the machine
does hits all three; a spread of nginx's own figures above a fifth is said. Exits 1 when a limit is exceeded.
`--small` is one very short round of each, to see that the bench itself works. Names of cases pick those.
"""

import os
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from common import MIB, SMALL, TICK, Bench, cpu, resident, workers, wrk

ROUNDS = 1 if SMALL else 15
SECONDS = 1
BIG = (32 if SMALL else 1024) * MIB
IDLE = 100 if SMALL else 1000
MOST = 1.3


def main():
    wanted = [name for name in sys.argv[1:] if not name.startswith("--")]
    resource.setrlimit(resource.RLIMIT_NOFILE, (16384, 16384))
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        bench = Proxy(folder)
        try:
            for name, case in bench.cases().items():
                if not wanted or name in wanted:
                    case(name)
        finally:
            bench.stop()
    bench.finish()


class Proxy(Bench):
    def __init__(self, folder):
        super().__init__(folder, "app", "sink", "nginx", "nginx_h2", "haproxy", "transom", "admin", "dws")
        os.mkdir(os.path.join(folder, "files"))
        self.write("files/64k", "x" * 65536)
        self.write("post.lua", 'wrk.method = "POST"\nwrk.body = string.rep("x", 1048576)\n')
        self.nginx("app", APP.format(folder=folder, text="x" * 1024, **self.ports), "app")
        self.sink("sink")
        self.sandbox()
        self.start("off")

    def start(self, access_log):
        """The three proxies, with access logs or without."""
        at_nginx = {"off": "off", "on": f"{self.folder}/nginx-access.log"}[access_log]
        at_haproxy = {"off": "", "on": f"log {self.folder}/none format raw local0\n  option httplog"}[access_log]
        master = self.nginx("nginx", PROXY.format(**self.ports), "nginx", at_nginx)
        haproxy = self.child("haproxy", "-db", "-f", self.write("haproxy.cfg", HAPROXY.format(access_log=at_haproxy, **self.ports)))
        self.wait_for("haproxy")
        transom = self.transom(self.config(access_log))
        time.sleep(0.5)
        self.masters = [master, haproxy.pid, transom]
        self.processes = {"transom": [transom], "nginx": workers(master), "haproxy": [haproxy.pid]}

    def config(self, access_log):
        log = ACCESS_LOG.format(folder=self.folder) if access_log == "on" else ""
        kinds = "".join(KIND.format(kind=f"kind{number}") for number in range(10))
        return CONFIG.format(folder=self.folder, access_log=log, **self.ports) + kinds

    def cases(self):
        return {
            "1 KiB GET": lambda name: self.load(name, 1.0, "/1k", "-c64"),
            "64 KiB GET": lambda name: self.load(name, MOST, "/64k", "-c64"),
            "1 MiB POST": lambda name: self.load(name, MOST, "/sink", "-c8", "-s", os.path.join(self.folder, "post.lua")),
            "1 GiB POST": self.big_upload,
            "new connection per request": lambda name: self.load(name, MOST, "/1k", "-c64", "-H", "Connection: close"),
            "h2 from the client": self.http2,
            "idle connections": self.idle,
            "1 KiB GET, access log": self.logging,
        }

    def load(self, name, limit, path, *options):
        def run(port):
            requests, out = wrk(port, path, f"-d{SECONDS}s", "--latency", *options)
            return requests, milliseconds(re.search(r"^ +99% +(\S+)", out, re.M).group(1))

        self.compare(name, limit, run)

    def http2(self, name):
        def run(port):
            out = subprocess.run(["h2load", "-c16", "-m4", f"-D{SECONDS}", f"http://127.0.0.1:{port}/1k"],
                                 capture_output=True, text=True, check=True).stdout
            succeeded = int(re.search(r"(\d+) 2xx", out).group(1))
            assert " 0 failed, 0 errored" in out, out
            return succeeded, None

        self.compare(name, MOST, run, nginx="nginx_h2")

    def big_upload(self, name):
        block = os.urandom(MIB)

        def run(port):
            connection = socket.create_connection(("127.0.0.1", port))
            head = f"POST /sink HTTP/1.1\r\nhost: app\r\nconnection: close\r\ncontent-length: {BIG}\r\n\r\n"
            connection.sendall(head.encode())
            for _ in range(BIG // MIB):
                connection.sendall(block)
            assert connection.recv(65536).startswith(b"HTTP/1.1 201")
            return 1, None

        self.compare(name, MOST, run, rounds=min(ROUNDS, 3))

    def idle(self, name):
        """Many connections, each of which has asked once and now waits; a few ask on."""
        self.restart("off")
        above = {}
        for proxy, pids in self.processes.items():
            before = sum(map(resident, pids))
            connections = [socket.create_connection(("127.0.0.1", self.ports[proxy])) for _ in range(IDLE)]
            for turn in (connections, connections[::20]):
                for connection in turn:
                    connection.sendall(b"GET /1k HTTP/1.1\r\nhost: app\r\n\r\n")
                    read = b""
                    while not read.endswith(b"x" * 1024):
                        read += connection.recv(65536)
            # Until what was only needed for the requests is given back.
            time.sleep(8)
            above[proxy] = max(sum(map(resident, pids)) - before, 4096)
            print(f"  {proxy}: {before / MIB:.1f} MiB idle, {above[proxy] / 1024 / IDLE:.1f} KiB a connection", flush=True)
            for connection in connections:
                connection.close()
        self.say(f"{IDLE} {name}: memory above idle / nginx", above["transom"] / above["nginx"], 2.0)
        self.say(f"{IDLE} {name}: memory above idle / HAProxy", above["transom"] / above["haproxy"])

    def logging(self, name):
        checked = subprocess.run(["target/release/transom", "check", "--config", self.write("check.toml", self.config("on"))],
                                 capture_output=True)
        if checked.returncode:
            print(f"  {name}: left out, since Transom has no access log yet")
            return
        self.restart("on")
        self.load(name, 1.0, "/1k", "-c64")
        for proxy in ("transom", "nginx"):
            assert os.path.getsize(f"{self.folder}/{proxy}-access.log"), f"{proxy} has written no log"

    def restart(self, access_log):
        for pid in self.masters:
            self.end(pid)
        self.start(access_log)

    def compare(self, name, limit, run, rounds=ROUNDS, **ports):
        costs, tails = {proxy: [] for proxy in self.processes}, {proxy: [] for proxy in self.processes}
        for number in range(rounds):
            # Whoever comes first in one round comes last in the next.
            for proxy, pids in list(self.processes.items())[:: 1 if number % 2 else -1]:
                before = cpu(pids)
                requests, tail = run(self.ports[ports.get(proxy, proxy)])
                costs[proxy].append(max(cpu(pids) - before, 1 / TICK) / requests)
                tails[proxy].append(tail)
            print("  us per request:", ", ".join(f"{proxy} {cost[-1] * 1e6:.1f}" for proxy, cost in costs.items()), flush=True)
        spread = max(costs["nginx"]) / min(costs["nginx"])
        if spread > 1.2:
            print(f"  noisy: nginx's own figures differ by a factor of {spread:.2f}")
        self.say(f"{name}: CPU / nginx", ratio(costs, "nginx"), limit)
        self.say(f"{name}: CPU / HAProxy", ratio(costs, "haproxy"))
        if tails["nginx"][0]:
            self.say(f"{name}: p99 / nginx", ratio(tails, "nginx"))
            self.say(f"{name}: p99 / HAProxy", ratio(tails, "haproxy"))


def ratio(figures, other):
    return statistics.median(ours / theirs for ours, theirs in zip(figures["transom"], figures[other]))


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


APP = """
  upstream sink {{ server 127.0.0.1:{sink}; keepalive 128; }}
  server {{
    listen 127.0.0.1:{app};
    root {folder}/files;
    location = /1k {{ return 200 '{text}'; }}
    location = /sink {{ proxy_pass http://sink; proxy_request_buffering off; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""

PROXY = """
  upstream app {{ server 127.0.0.1:{app}; keepalive 128; keepalive_requests 100000000; }}
  proxy_http_version 1.1;
  proxy_request_buffering off;
  proxy_max_temp_file_size 0;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Request-Id $request_id;
  proxy_set_header Forwarded 'for=$remote_addr;host="$http_host";proto=$scheme';
  server {{
    listen 127.0.0.1:{nginx};
    listen 127.0.0.1:{nginx_h2} http2;
    location / {{ proxy_pass http://app; }}
  }}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
  http-reuse always
frontend clients
  bind 127.0.0.1:{haproxy}
  {access_log}
  option forwardfor
  unique-id-format %[uuid()]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-Id %[unique-id]
  http-request set-header Forwarded for=%[src];host=\\"%[req.hdr(host)]\\";proto=http
  default_backend app
backend app
  server app 127.0.0.1:{app}
"""

CONFIG = """
[server]
listen = "127.0.0.1:{transom}"
admin = "127.0.0.1:{admin}"
workers = 1
{access_log}

[app]
url = "http://127.0.0.1:{app}"

[dws]
url = "http://127.0.0.1:{dws}/viewer"
api_key = "k"

[store]
path = "{folder}/store"
"""

# What switches Transom's access log on, within `[server]`.
ACCESS_LOG = 'access_log = "{folder}/transom-access.log"'

# Five routes.
KIND = """
[documents.{kind}]
probe = "GET /api/{kind}/{{id}}"
upload = [{{ route = "POST /api/{kind}", id = {{ json = "$.data.id" }} }}]
replace = [{{ route = "PUT /api/{kind}/{{id}}/content", file = {{ body = true }} }}]
delete = [{{ route = "DELETE /api/{kind}/{{id}}" }}]
[[documents.{kind}.view]]
route = "GET /{kind}/{{id}}/content"
session = {{ page = true }}
[[documents.{kind}.view]]
route = "GET /api/{kind}/{{id}}"
session = {{ response_header = "X-Viewer-Session" }}
"""

if __name__ == "__main__":
    main()
