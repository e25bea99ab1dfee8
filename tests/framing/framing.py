"""Sends raw requests to Transom, nginx, HAProxy and Apache, each in front of an app that records what it gets.

Transom must let through only what is one well-formed request after its own serialisation. Where it differs from
one of the others, `explained.toml` must say why; an explanation without a difference is an error too.

`--show NAME` prints what became of a case everywhere; `--propose` prints each difference with what was forwarded or answered.
"""

import argparse
import collections
import concurrent.futures
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

from cases import cases

FOLDER = os.path.dirname(os.path.abspath(__file__))
# More of the body is to come.
WAITING = ["length: 2^63", "chunk: 2^32+5"]
REPLY = b"HTTP/1.1 200 OK\r\nX-From-App: 1\r\nContent-Length: 2\r\n\r\nok"
QUIET = 0.5


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--transom", default=os.path.join(FOLDER, "../../target/debug/transom"))
    arguments.add_argument("--show")
    arguments.add_argument("--propose", action="store_true")
    arguments = arguments.parse_args()
    known = cases()
    if arguments.show:
        known = {name: raw for name, raw in known.items() if arguments.show in name}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        proxies = [Transom(folder, arguments.transom), Nginx(folder), HAProxy(folder), Apache(folder)]
        try:
            with concurrent.futures.ThreadPoolExecutor(len(proxies)) as pool:
                outcomes = dict(zip([proxy.name for proxy in proxies], pool.map(lambda proxy: proxy.run(known), proxies)))
        finally:
            for proxy in proxies:
                proxy.stop()
    if arguments.show:
        for name in known:
            print(name, *(f"  {proxy:<8} {by_case[name]}" for proxy, by_case in outcomes.items()), sep="\n")
        return
    differences = compare(outcomes)
    if arguments.propose:
        print(*broken(outcomes["transom"]), sep="\n")
        for kind, found in differences.items():
            for case, names in found.items():
                print(f"{kind}\t{case}\t{' '.join(names)}\t{[outcomes[name][case].brief() for name in ['transom', *names]]}")
        return
    problems = broken(outcomes["transom"]) + unexplained(differences, known)
    print(f"{len(known)} requests, {sum(len(found) for found in differences.values())} of them differ somewhere, {len(problems)} problems")
    print(*problems, sep="\n")
    sys.exit(1 if problems else 0)


def broken(outcomes):
    """What must never happen, whatever others do."""
    problems = []
    for name, outcome in outcomes.items():
        if outcome.garbage:
            problems.append(f"{name}: the app got what is no request: {outcome.garbage[:200]!r}")
        if len(outcome.requests) != outcome.from_app:
            problems.append(f"{name}: {len(outcome.requests)} requests at the app, but {outcome.from_app} of its replies at the client")
        for request in outcome.requests:
            if request.target == b"/smuggled" or b"chunked" in request.fields.get(b"content-length", [b""])[0]:
                problems.append(f"{name}: smuggled: {request}")
            problems += [f"{name}: {flaw}: {request}" for flaw in request.flaws()]
        if not outcome.requests and not outcome.statuses and name not in WAITING:
            problems.append(f"{name}: neither an answer nor a request")
    return problems


def compare(outcomes):
    """By kind of difference: the cases, and with whom."""
    found = {"stricter": {}, "looser": {}, "other": {}}
    for name, ours in outcomes["transom"].items():
        for proxy, by_case in outcomes.items():
            kind = ours.differs(by_case[name])
            if kind:
                found[kind].setdefault(name, []).append(proxy)
    return found


def unexplained(differences, known):
    with open(os.path.join(FOLDER, "explained.toml"), "rb") as file:
        reasons = tomllib.load(file)["reason"]
    explained = collections.Counter()
    problems = []
    for reason in reasons:
        for case, proxies in reason["cases"].items():
            for proxy in proxies:
                explained[reason["kind"], case, proxy] += 1
                if case not in known:
                    problems.append(f"explained.toml: there is no case {case!r}")
                elif not reason.get("sometimes") and proxy not in differences[reason["kind"]].get(case, []):
                    problems.append(f"explained.toml: {case!r} does not differ from {proxy} ({reason['kind']})")
    for kind, found in differences.items():
        for case, proxies in found.items():
            problems += [f"{case}: {kind} than {proxy}, for no reason given" for proxy in proxies if not explained[kind, case, proxy]]
    return problems


class Request(collections.namedtuple("Request", "method target fields body trailers line_ok")):
    def flaws(self):
        """Against RFC 9112, for what a proxy serialised itself."""
        lengths, codings, hosts = (self.fields.get(name, []) for name in (b"content-length", b"transfer-encoding", b"host"))
        checks = {
            "the request line is odd": not self.line_ok,
            "no single host": len(hosts) != 1,
            "more than one framing": len(lengths) + len(codings) > 1,
            "an odd length": any(not re.fullmatch(rb"[0-9]{1,19}", length) for length in lengths),
            "an odd coding": any(coding != b"chunked" for coding in codings),
            "an odd target": not (self.target.startswith(b"/") or (self.method, self.target) == (b"OPTIONS", b"*")),
            "a field of the hop": any(name in self.fields for name in (b"keep-alive", b"proxy-connection", b"http2-settings")),
            "an odd name": any(not re.fullmatch(rb"[!#$%&'*+.^_`|~0-9a-z-]+", name) for name in self.fields),
            "an odd value": any(re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value) for values in self.fields.values() for value in values),
        }
        return [flaw for flaw, there in checks.items() if there]

    def meaning(self):
        return self.method, self.target, self.body


class Outcome(collections.namedtuple("Outcome", "requests garbage statuses from_app")):
    def differs(self, other):
        ours, theirs = ([request.meaning() for request in outcome.requests] for outcome in (self, other))
        if ours == theirs:
            return None
        if len(ours) < len(theirs):
            return "stricter"
        return "looser" if len(ours) > len(theirs) else "other"


    def brief(self):
        return [b" ".join(request.meaning())[:60] for request in self.requests] or self.statuses


class App:
    """Reads as strictly as RFC 9112 allows; answers every request with 200."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.requests, self.garbage, self.lock = [], b"", threading.Lock()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        reader = connection.makefile("rb")
        try:
            while request := read_request(reader, connection):
                with self.lock:
                    self.requests.append(request)
                connection.sendall(REPLY.replace(b"\r\n\r\nok", b"\r\n\r\n") if request.method == b"HEAD" else REPLY)
        except Garbage as garbage:
            with self.lock:
                self.garbage += garbage.args[0]
        except OSError:
            pass
        finally:
            connection.close()

    def take(self):
        with self.lock:
            taken, self.requests, self.garbage = (self.requests, self.garbage), [], b""
            return taken


class Garbage(Exception):
    pass


def read_request(reader, connection):
    """`None` at the end, also where a request breaks off: nobody takes that for one."""
    lines = []
    while not lines or lines[-1] != b"\r\n":
        line = reader.readline()
        if not line.endswith(b"\n"):
            return None
        if not line.endswith(b"\r\n"):
            raise Garbage(line)
        lines.append(line)
    parts = lines[0][:-2].split(b" ")
    if len(parts) != 3:
        raise Garbage(lines[0])
    method, target, version = parts
    fields = collections.defaultdict(list)
    for line in lines[1:-1]:
        name, colon, value = line[:-2].partition(b":")
        if not colon or name != name.strip():
            raise Garbage(line)
        fields[name.lower()].append(value.strip(b" \t"))
    if b"100-continue" in fields[b"expect"]:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body, trailers = b"", []
    if b"transfer-encoding" in fields:
        while True:
            size = reader.readline()
            if not size.endswith(b"\n"):
                return None
            if not re.fullmatch(rb"[0-9a-fA-F]+(;[^\r\n]*)?\r\n", size):
                raise Garbage(size)
            size = int(size.split(b";")[0], 16)
            if not size:
                break
            data = reader.read(size + 2)
            if len(data) < size + 2:
                return None
            if not data.endswith(b"\r\n"):
                raise Garbage(data[-20:])
            body += data[:-2]
        while (line := reader.readline()) != b"\r\n":
            if not line.endswith(b"\r\n"):
                return None
            trailers.append(line[:-2])
    elif b"content-length" in fields:
        length = fields[b"content-length"][0]
        if not length.isdigit():
            raise Garbage(length)
        body = reader.read(min(int(length), 1 << 30))
        if len(body) < int(length):
            return None
    return Request(method, target, dict(fields), body, trailers, version in (b"HTTP/1.1", b"HTTP/1.0"))


class Proxy:
    def __init__(self, folder):
        self.folder, self.app, self.port = os.path.join(folder, self.name), App(), free_port()
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o777)
        config = os.path.join(self.folder, "config")
        with open(config, "w") as file:
            file.write(self.config.format(folder=self.folder, port=self.port, app=self.app.port))
        log = open(os.path.join(self.folder, "log"), "w")
        self.process = subprocess.Popen([*self.command(config)], stdout=log, stderr=log)
        for _ in range(600):
            try:
                return socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise SystemExit(f"{self.name} does not start: {open(log.name).read()}")

    def run(self, known):
        time.sleep(0.3)
        self.app.take()
        outcomes = {}
        for name, raw in known.items():
            heard = exchange(self.port, raw)
            requests, garbage = self.app.take()
            # Not those of the case before, which another proxy may still have been busy with. Of Transom every
            # one counts: a method that nobody sent would be its fault.
            if self.name != "transom":
                requests = [request for request in requests if request.method in raw]
            statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] ([2-5]\d\d)", heard)]
            outcomes[name] = Outcome(requests, garbage, statuses, heard.lower().count(b"x-from-app: 1"))
        return outcomes

    def stop(self):
        self.process.terminate()
        self.process.wait()


def exchange(port, raw):
    """Everything that comes back until it is quiet."""
    heard = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(5)
        try:
            connection.sendall(raw)
        except OSError:
            pass
        connection.settimeout(QUIET)
        try:
            while piece := connection.recv(65536):
                heard += piece
        except OSError:
            pass
    # What is on its way to the app when the client leaves gets there or not: that is no reading of the request.
    time.sleep(0.02)
    return heard


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


class Transom(Proxy):
    name = "transom"
    config = """
[server]
listen = "127.0.0.1:{port}"
admin = "off"
[app]
url = "http://127.0.0.1:{app}"
[dws]
url = "http://127.0.0.1:9/viewer"
api_key = "none"
[store]
path = "{folder}/data"
[documents.files]
[[documents.files.upload]]
route = "POST /api/files"
id = {{ json = "$.id" }}
"""

    def __init__(self, folder, binary):
        self.binary = binary
        super().__init__(folder)

    def command(self, config):
        return self.binary, "run", "--config", config


class Nginx(Proxy):
    name = "nginx"
    config = """
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
daemon off;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://127.0.0.1:{app}; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ""; }}
  }}
}}
"""

    def command(self, config):
        return "nginx", "-e", os.path.join(self.folder, "errors"), "-c", config


class HAProxy(Proxy):
    name = "haproxy"
    config = """
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 2s
frontend f
  bind 127.0.0.1:{port}
  default_backend b
backend b
  server app 127.0.0.1:{app}
"""

    def command(self, config):
        return "haproxy", "-f", config


class Apache(Proxy):
    name = "apache"
    config = """
ServerRoot {folder}
PidFile {folder}/pid
ErrorLog {folder}/errors
Listen 127.0.0.1:{port}
ServerName d
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
User nobody
Group nogroup
ProxyPreserveHost On
AllowEncodedSlashes NoDecode
ProxyPass / http://127.0.0.1:{app}/
"""

    def command(self, config):
        return "apache2", "-f", config, "-D", "FOREGROUND"


if __name__ == "__main__":
    main()
