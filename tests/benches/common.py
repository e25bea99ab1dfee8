"""What the benches share: the processes they start, what these cost, and a report that knows its limits."""

import glob
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MIB = 1024 * 1024
TICK = os.sysconf("SC_CLK_TCK")
SMALL = "--small" in sys.argv


class Bench:
    """Starts processes that listen on `ports`, all of which end with the bench."""

    build = "release"

    def __init__(self, folder, *ports):
        self.folder, self.report, self.exceeded, self.children = folder, [], False, []
        self.ports = {name: free_port() for name in ports}

    def say(self, what, value, limit=None, unit=""):
        """One line of the report. Without a limit it is for information."""
        verdict = ""
        if limit is not None:
            verdict = f"  limit {limit:g}{unit}  {'ok' if value <= limit else 'EXCEEDED'}"
            self.exceeded |= value > limit
        self.report.append(f"{what:<64} {value:9.2f}{unit}{verdict}")
        print(self.report[-1], flush=True)

    def finish(self):
        print()
        for line in self.report:
            print(line)
        sys.exit(1 if self.exceeded else 0)

    def child(self, *command):
        log = open(os.path.join(self.folder, "log"), "a")
        child = subprocess.Popen(command, stdout=log, stderr=log)
        self.children.append(child)
        return child

    def transom(self, config, prefix=()):
        """Runs the build with this configuration; `prefix` is a command that runs it."""
        path = self.write("config.toml", config)
        child = self.child(*prefix, f"target/{self.build}/transom", "run", "--config", path)
        self.wait_for("transom")
        self.wait_for("admin")
        return child.pid

    def sandbox(self, *options):
        self.child(f"target/{self.build}/transom", "sandbox", "--listen", f"127.0.0.1:{self.ports['dws']}",
                   "--key", "k", "--data", os.path.join(self.folder, "dws"), *options)
        self.wait_for("dws")

    def nginx(self, name, config, port, access_log="off"):
        """The master's id. `config` is the inside of `http`, which must not say `access_log` again: the first `off` wins."""
        path = self.write(f"{name}.conf", NGINX.format(folder=self.folder, name=name, config=config, access_log=access_log))
        child = self.child("nginx", "-c", path, "-g", "daemon off;")
        self.wait_for(port)
        return child.pid

    def sink(self, port):
        """An app that reads everything, and then says yes."""
        sink = Listener(("127.0.0.1", self.ports[port]), Sink)
        threading.Thread(target=sink.serve_forever, daemon=True).start()

    def end(self, pid):
        child = next(child for child in self.children if child.pid == pid)
        child.terminate()
        child.wait()
        self.children.remove(child)

    def stop(self):
        for child in self.children:
            child.send_signal(signal.SIGTERM)
            child.wait()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def get(self, port, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[port])
        connection.request("GET", path)
        return connection.getresponse().read().decode()

    def wait_for(self, port):
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", self.ports[port])).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"nothing listens as {port}; it said:\n{open(os.path.join(self.folder, 'log')).read()}")


class Listener(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, *_):
        """A client that leaves is none."""


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        left = int(self.headers["content-length"])
        while left:
            left -= len(self.rfile.read(min(left, MIB)))
        body = b'{"data":{"id":%d}}' % int(self.headers.get("x-id", "1"))
        head = f"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


def cpu(pids):
    """Seconds, user and system."""
    total = 0
    for pid in pids:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


def cpu_of_threads(pid):
    """Seconds of the threads that are there, to the nanosecond: ticks of 10 ms are coarse for a run of a second."""
    threads = glob.glob(f"/proc/{pid}/task/*/schedstat")
    return sum(int(open(thread).read().split()[0]) for thread in threads) / 1e9


def workers(master):
    out = subprocess.run(["pgrep", "-P", str(master)], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid in out.split()]


def resident(pid):
    return status(pid, "VmRSS")


def peak_resident(pid):
    return status(pid, "VmHWM")


def status(pid, name):
    return int(re.search(rf"{name}:\s+(\d+) kB", open(f"/proc/{pid}/status").read()).group(1)) * 1024


def wrk(port, path, *options):
    out = subprocess.run(["wrk", "-t1", *options, f"http://127.0.0.1:{port}{path}"],
                         capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    return int(re.search(r"(\d+) requests in", out).group(1)), out


def free_port():
    """Given out once, and from below what the system takes for the near end of outgoing connections."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


PORTS = iter(random.sample(range(12000, 32000), 20000))


NGINX = """
worker_processes 1;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
events {{ worker_connections 4096; }}
http {{
  access_log {access_log};
  client_max_body_size 0;
  client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 100000000;
  default_type application/json;
  {config}
}}
"""
