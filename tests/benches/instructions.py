"""Instructions and allocations per request on the pass lane, as callgrind counts them, against the plainest hyper forwarder.

One client asks one request after another. Two runs of different length tell what one more request costs, without the start.
Both programs come from the same build, so the ratio depends on neither the machine nor, mostly, the compiler. It may exceed the
recorded one by 5 %, and allocations not at all. `--record` writes down what was measured: do so in the commit that changes it.
"""

import glob
import os
import re
import socket
import sys
import tempfile
import threading
import time

from common import Bench
from proxy import CONFIG, KIND

RECORD = os.path.join(os.path.dirname(__file__), "instructions.txt")
FEW, MANY = 500, 3500


def main():
    with tempfile.TemporaryDirectory() as folder:
        gate = Gate(folder)
        try:
            transom, plain = gate.marginal("transom"), gate.marginal("plain")
        finally:
            gate.stop()
    ratio, extra = transom["instructions"] / plain["instructions"], transom["allocations"] - plain["allocations"]
    for name, counted in (("transom", transom), ("plain", plain)):
        print(f"  {name}: {counted['instructions']:.0f} instructions, {counted['allocations']:.2f} allocations per request")
    if "--record" in sys.argv:
        with open(RECORD, "w") as file:
            file.write(RECORDED.format(ratio=ratio, extra=extra))
    recorded = dict(re.findall(r"^(\w+) = ([\d.-]+)$", open(RECORD).read(), re.M))
    gate.say("pass lane: instructions / plain forwarder", ratio, round(float(recorded["instructions"]) * 1.05, 3))
    # Less than a half of one is what a pool or a buffer does now and then.
    gate.say("pass lane: allocations more than the plain forwarder", extra, float(recorded["allocations"]) + 0.4)
    gate.finish()


class Gate(Bench):
    build = "gate"

    def __init__(self, folder):
        super().__init__(folder, "app", "dws", "plain", "transom", "admin")
        threading.Thread(target=app, args=(self.ports["app"],), daemon=True).start()
        self.wait_for("app")
        self.sandbox()

    def marginal(self, program):
        few, many = self.count(program, FEW), self.count(program, MANY)
        return {what: (many[what] - few[what]) / (MANY - FEW) for what in few}

    def count(self, program, requests):
        counts = os.path.join(self.folder, f"{program}.{requests}")
        callgrind = ("valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={counts}")
        if program == "transom":
            kinds = "".join(KIND.format(kind=f"kind{number}") for number in range(10))
            store = tempfile.mkdtemp(dir=self.folder)
            pid = self.transom(CONFIG.format(folder=store, access_log="", **self.ports) + kinds, callgrind)
            ask(self.ports["transom"], 1)
            # What goes on at the start is over then, in the short run as in the long one.
            while '"unknown"' in self.get("admin", "/readyz"):
                time.sleep(0.2)
        else:
            listen, to = (f"127.0.0.1:{self.ports[name]}" for name in ("plain", "app"))
            pid = self.child(*callgrind, f"target/{self.build}/plain", listen, to).pid
            self.wait_for("plain")
        ask(self.ports[program], requests)
        self.end(pid)
        return read(counts)


def ask(port, requests):
    connection = socket.create_connection(("127.0.0.1", port))
    for _ in range(requests):
        connection.sendall(REQUEST)
        read = b""
        while not read.endswith(BODY):
            piece = connection.recv(65536)
            assert piece, read
            read += piece
        assert read.startswith(b"HTTP/1.1 200"), read


def app(port):
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


def serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    read = b""
    while piece := connection.recv(65536):
        read += piece
        if read.endswith(b"\r\n\r\n"):
            connection.sendall(REPLY)
            read = b""


def read(counts):
    """What the thread that served the requests did: others work by the clock, not by the request."""
    served = max(map(read_thread, glob.glob(f"{counts}-*")), key=lambda thread: thread["writes"])
    return {what: served[what] for what in ("instructions", "allocations")}


def read_thread(path):
    text = open(path).read()
    names = dict(re.findall(r"^c?fn=\((\d+)\) (.+)$", text, re.M))
    calls = [(names[name].split("'")[0], int(number)) for name, number in re.findall(CALL, text, re.M)]
    return {
        "instructions": int(re.search(r"^(?:totals|summary): (\d+)", text, re.M).group(1)),
        "allocations": sum(number for name, number in calls if name in ALLOCATES),
        "writes": sum(number for name, number in calls if name in WRITES),
    }


CALL = r"^cfn=\((\d+)\).*\ncalls=(\d+)"
ALLOCATES = {"_rjem_malloc", "_rjem_mallocx", "_rjem_calloc", "_rjem_realloc", "_rjem_rallocx"}
WRITES = {"send", "write", "writev"}
BODY = b"x" * 1024
REPLY = (b"HTTP/1.1 200 OK\r\nServer: app\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
         b"Content-Length: 1024\r\nConnection: keep-alive\r\n\r\n" + BODY)
REQUEST = (b"GET /pass/1?page=2 HTTP/1.1\r\nHost: docs.example\r\nUser-Agent: bench\r\nAccept: */*\r\n"
           b"Accept-Encoding: gzip\r\nCookie: session=0123456789abcdef\r\n\r\n")

RECORDED = """# The pass lane against tests/benches/plain, per request: instructions as a ratio, and how many allocations more.
# Renewed by tests/benches/instructions.sh --record, in the commit that changes them and says why.
instructions = {ratio:.3f}
allocations = {extra:.1f}
"""

if __name__ == "__main__":
    main()
