"""Raw requests, by name. `/smuggled` is what no reading of a case may let the app see as a request of its own."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: d\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


def head(line, *fields, host="Host: d"):
    fields = ([host] if host else []) + list(fields)
    return (line + "\r\n" + "".join(field + "\r\n" for field in fields) + "\r\n").encode("latin-1")


def post(*fields, body=b""):
    return head("POST /x HTTP/1.1", *fields) + body


def get(*fields, path="/x"):
    return head(f"GET {path} HTTP/1.1", *fields)


def chunked(body, *fields):
    return post(CHUNKED, *fields, body=body)


def cases():
    found = {}

    def add(name, raw):
        assert name not in found, name
        found[name] = raw

    # Plain requests, which everybody reads the same way.
    add("get", get())
    add("get with a query", get(path="/x?a=b&c=%20"))
    add("head", head("HEAD /x HTTP/1.1"))
    add("post with a length", post("Content-Length: 5", body=b"hello"))
    add("post with length 0", post("Content-Length: 0"))
    add("post without framing", post())
    add("post chunked", chunked(b"5\r\nhello\r\n0\r\n\r\n"))
    add("get with a length", get("Content-Length: 5") + b"hello")
    add("get chunked", get(CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n")
    add("delete with a body", head("DELETE /x HTTP/1.1", "Content-Length: 2") + b"hi")
    add("two in one packet", get(path="/1") + get(path="/2"))
    add("body, then a request", post("Content-Length: 5", body=b"hello") + get(path="/2"))
    add("chunked, then a request", chunked(b"5\r\nhello\r\n0\r\n\r\n") + get(path="/2"))
    add("empty lines first", b"\r\n\r\n" + get())

    # Content-Length.
    for name, value in {
        "plus": "+5", "minus": "-5", "hex": "0x5", "letters": "5a", "point": "5.0", "exponent": "5e0", "two in one": "5, 5",
        "two different in one": "5, 6", "semicolon": "5;5", "space within": "1 5", "empty": "", "quotes": '"5"', "huge": "9" * 25,
        "2^64": "18446744073709551616", "2^64+5": "18446744073709551621", "2^63": "9223372036854775808", "non-ascii digit": "\xb9",
        "underscore": "1_0", "form feed": "\x0c5", "vertical tab": "5\x0b", "comma": "5,", "leading comma": ",5",
    }.items():
        add(f"length: {name}", post(f"Content-Length: {value}", body=b"hello" + SMUGGLED))
    add("length: leading zeros", post("Content-Length: 0005", body=b"hello"))
    add("length: spaces around", post("Content-Length:   5  ", body=b"hello"))
    add("length: tab before", post("Content-Length:\t5", body=b"hello"))
    add("length: none after the colon's line", post("Content-Length:5", body=b"hello"))
    add("length: twice the same", post("Content-Length: 5", "Content-Length: 5", body=b"hello"))
    add("length: twice, different", post("Content-Length: 5", "Content-Length: 0", body=b"hello"))
    add("length: 0 then more", post("Content-Length: 0", "Content-Length: 35", body=SMUGGLED))
    add("length: space before the colon", post("Content-Length : 38", body=SMUGGLED))
    add("length: tab before the colon", post("Content-Length\t: 38", body=SMUGGLED))
    add("length: space before the name", post("X: y", " Content-Length: 35", body=SMUGGLED))
    add("length: underscore in the name", post("Content_Length: 38", body=SMUGGLED))
    add("length: dot in the name", post("Content.Length: 38", body=SMUGGLED))
    add("length: on get, smuggling", get("Content-Length: 35") + SMUGGLED)
    add("length: named by connection", post("Connection: Content-Length", "Content-Length: 35", body=SMUGGLED))
    add("length: in the old version", head("POST /x HTTP/1.0", "Content-Length: 5") + b"hello")

    # Both, and Transfer-Encoding.
    add("both: length first", post("Content-Length: 5", CHUNKED, body=b"0\r\n\r\n"))
    add("both: coding first", post(CHUNKED, "Content-Length: 5", body=b"0\r\n\r\n"))
    add("both: length longer", post("Content-Length: 40", CHUNKED, body=b"0\r\n\r\n" + SMUGGLED))
    add("both: length shorter", post("Content-Length: 3", CHUNKED, body=b"5\r\nhello\r\n0\r\n\r\n"))
    add("both: bad length", post("Content-Length: x", CHUNKED, body=b"0\r\n\r\n"))
    add("both: bad length behind", post(CHUNKED, "Content-Length: x", body=b"0\r\n\r\n"))
    add("both: on get", get("Content-Length: 5", CHUNKED) + b"0\r\n\r\n")
    for name, value in {
        "capitals": "CHUNKED", "space before": "  chunked", "space behind": "chunked  ", "tab before": "\tchunked",
        "identity": "identity", "gzip": "gzip", "gzip, chunked": "gzip, chunked", "chunked, gzip": "chunked, gzip",
        "identity, chunked": "identity, chunked", "chunked, identity": "chunked, identity", "chunked twice": "chunked, chunked",
        "xchunked": "xchunked", "chunkedx": "chunkedx", "quotes": '"chunked"', "apostrophes": "'chunked'", "empty": "",
        "parameter": "chunked;q=1", "comma behind": "chunked,", "comma before": ",chunked", "vertical tab": "\x0bchunked",
        "form feed behind": "chunked\x0c", "nbsp": "\xa0chunked", "nul": "chu\x00nked", "space within": "chu nked", "cow": "cow",
    }.items():
        add(f"coding: {name}", post(f"Transfer-Encoding: {value}", body=b"0\r\n\r\n"))
        if name in ("identity", "xchunked", "empty", "vertical tab", "cow", "parameter", "nbsp"):
            add(f"coding and length: {name}", post(f"Transfer-Encoding: {value}", "Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED))
    add("coding: two lines", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"))
    add("coding: gzip line, chunked line", post("Transfer-Encoding: gzip", CHUNKED, body=b"0\r\n\r\n"))
    add("coding: chunked line, identity line", post(CHUNKED, "Transfer-Encoding: identity", body=b"0\r\n\r\n"))
    add("coding: space before the colon", post("Transfer-Encoding : chunked", "Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED))
    add("coding: space before the name", post("X: y", " Transfer-Encoding: chunked", "Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED))
    add("coding: folded value", post("Transfer-Encoding:\r\n chunked", "Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED))
    add("coding: underscore in the name", post("Transfer_Encoding: chunked", "Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED))
    add("coding: after a bare CR", post("X: y\rTransfer-Encoding: chunked", "Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED))
    add("coding: after a bare LF", post("X: y\nTransfer-Encoding: chunked", "Content-Length: 40", body=b"0\r\n\r\n" + SMUGGLED))
    add("coding: named by connection", post("Connection: Transfer-Encoding", CHUNKED, body=b"0\r\n\r\n"))
    add("coding: in the old version", head("POST /x HTTP/1.0", CHUNKED) + b"0\r\n\r\n")
    add("coding: in the old version, kept", head("POST /x HTTP/1.0", CHUNKED, "Connection: keep-alive") + b"0\r\n\r\n" + SMUGGLED)

    # Chunks.
    for name, body in {
        "capital digits": b"A\r\n0123456789\r\n0\r\n\r\n", "leading zeros": b"005\r\nhello\r\n000\r\n\r\n",
        "many leading zeros": b"0" * 40 + b"5\r\nhello\r\n0\r\n\r\n", "0x": b"0x5\r\nhello\r\n0\r\n\r\n", "minus": b"-5\r\nhello\r\n0\r\n\r\n",
        "plus": b"+5\r\nhello\r\n0\r\n\r\n", "no size": b"\r\nhello\r\n0\r\n\r\n", "letters": b"xyz\r\nhello\r\n0\r\n\r\n",
        "2^64+5": b"10000000000000005\r\nhello\r\n0\r\n\r\n", "2^32+5": b"100000005\r\nhello\r\n0\r\n\r\n",
        "space behind": b"5 \r\nhello\r\n0\r\n\r\n", "space before": b" 5\r\nhello\r\n0\r\n\r\n", "tab behind": b"5\t\r\nhello\r\n0\r\n\r\n",
        "underscore": b"0_5\r\nhello\r\n0\r\n\r\n", "LF after the size": b"5\nhello\r\n0\r\n\r\n", "LF after the data": b"5\r\nhello\n0\r\n\r\n",
        "LF at the end": b"5\r\nhello\r\n0\n\n", "CR after the size": b"5\rhello\r\n0\r\n\r\n", "no end of data": b"5\r\nhello0\r\n\r\n",
        "data too long": b"5\r\nhello!\r\n0\r\n\r\n", "two bytes for the end": b"5\r\nhelloXX0\r\n\r\n",
        "extension": b"5;a=b\r\nhello\r\n0\r\n\r\n", "quoted extension": b'5;a="b;c"\r\nhello\r\n0\r\n\r\n',
        "extension with LF": b"5;a\nb\r\nhello\r\n0\r\n\r\n", "extension with CR": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        "extension smuggling by LF": b"2;\nxx\r\n23\r\n0\r\n\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
        "long extension": b"5;a=" + b"b" * 20000 + b"\r\nhello\r\n0\r\n\r\n", "many extensions": (b"1;" + b"x" * 900 + b"\r\na\r\n") * 60 + b"0\r\n\r\n",
        "extension with NUL": b"5;\x00\r\nhello\r\n0\r\n\r\n", "bare extension": b"5;\r\nhello\r\n0\r\n\r\n", "extension on the last": b"5\r\nhello\r\n0;a=b\r\n\r\n",
        "trailer": b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "trailer with a length": b"0\r\nContent-Length: 35\r\n\r\n",
        "trailer with a host": b"0\r\nHost: e\r\n\r\n", "trailer that is none": b"0\r\nnonsense\r\n\r\n",
        "trailer with a space": b"0\r\nX : y\r\n\r\n", "trailer with LF": b"0\r\nX: y\n\r\n", "folded trailer": b"0\r\nX: y\r\n z\r\n\r\n",
        "huge trailer": b"0\r\nX: " + b"y" * 100000 + b"\r\n\r\n", "many trailers": b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n",
        "zeros as the last": b"5\r\nhello\r\n0000\r\n\r\n", "another request behind": b"0\r\n\r\n" + get(path="/2"),
    }.items():
        add(f"chunk: {name}", chunked(body))
    add("chunk: announced trailer", chunked(b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "Trailer: X-Sum"))

    # Lines and names.
    add("line: all LF", b"GET /x HTTP/1.1\nHost: d\n\n")
    add("line: LF after the request line", b"GET /x HTTP/1.1\nHost: d\r\n\r\n")
    add("line: LF after a field", b"GET /x HTTP/1.1\r\nHost: d\nX: y\r\n\r\n")
    add("line: LF as the empty line", b"GET /x HTTP/1.1\r\nHost: d\r\n\n")
    add("line: CR alone", b"GET /x HTTP/1.1\rHost: d\r\r")
    add("line: CR in a value", get("X: a\rb"))
    add("line: CR CR LF", b"GET /x HTTP/1.1\r\nHost: d\r\nX: y\r\r\n\r\n")
    add("line: LF first", b"\nGET /x HTTP/1.1\r\nHost: d\r\n\r\n")
    add("line: space first", b" GET /x HTTP/1.1\r\nHost: d\r\n\r\n")
    add("fold: space", get("X: a\r\n b"))
    add("fold: tab", get("X: a\r\n\tb"))
    add("fold: first line", b"GET /x HTTP/1.1\r\n X: y\r\nHost: d\r\n\r\n")
    add("fold: of host", head("GET /x HTTP/1.1", host="Host:\r\n d"))
    for name, field in {
        "space in it": "X Y: z", "space behind it": "X : y", "none": ": y", "no colon": "nonsense", "empty value": "X:", "underscore": "X_Y: z",
        "dot": "X.Y: z", "brackets": "X(Y): z", "non-ascii": "X\xe9: y", "nul": "X\x00: y", "control": "X\x01: y", "at": "X@Y: z", "quote": 'X": y', "slash": "X/Y: z",
    }.items():
        add(f"name: {name}", get(field))
    for name, value in {"nul": "a\x00b", "control": "a\x01b", "del": "a\x7fb", "non-ascii": "a\xffb", "tab": "a\tb", "esc": "\x1b[0m"}.items():
        add(f"value: {name}", get(f"X: {value}"))
    add("large: one field of 10 kB", get("X: " + "y" * 10_000))
    add("large: one field of 500 kB", get("X: " + "y" * 500_000))
    add("large: 99 fields", get(*[f"X-{n}: y" for n in range(90)]))
    add("large: 1000 fields", get(*[f"X-{n}: y" for n in range(1000)]))
    add("large: target of 6 kB", get(path="/" + "x" * 6_000))
    add("large: target of 70 kB", get(path="/" + "x" * 70_000))
    add("large: name of 70 kB", get("X" * 70_000 + ": y"))

    # Host and target.
    add("host: none", head("GET /x HTTP/1.1", host=None))
    add("host: empty", head("GET /x HTTP/1.1", host="Host:"))
    add("host: twice the same", get("Host: d"))
    add("host: twice", get("Host: e"))
    for name, value in {
        "port": "d:81", "ipv6": "[::1]:80", "two in one": "d, e", "space": "d e", "path": "d/e", "userinfo": "u@d", "bad port": "d:x",
        "backslash": "d\\e", "query": "d?e", "non-ascii": "\xe9", "quote": 'd"', "tab": "d\te", "underscore": "d_e", "dot": "d.", "percent": "%64", "brackets": "[x",
    }.items():
        add(f"host: {name}", head("GET /x HTTP/1.1", host=f"Host: {value}"))
    add("host: underscore variant", get("Http_Host: e"))
    for name, target in {
        "absolute": "http://d/x", "absolute, other host": "http://e/x", "absolute, port 80": "http://d:80/x", "absolute, other port": "http://d:81/x",
        "absolute, capitals": "HTTP://D/x", "absolute, https": "https://d/x", "absolute, ftp": "ftp://d/x", "absolute, userinfo": "http://u@d/x",
        "absolute, no path": "http://d", "absolute, query only": "http://d?x", "absolute, no host": "http:///x", "one slash": "http:/d/x",
        "no slash": "x", "authority": "d:80", "star": "*", "query only": "?x", "two slashes": "//d/x", "backslash": "\\x", "fragment": "/x#y",
        "space": "/x y", "tab": "/x\ty", "nul": "/x\x00y", "non-ascii": "/\xe9", "control": "/x\x01", "del": "/x\x7f", "quote": '/"', "angle": "/<x>",
        "pipe": "/x|y", "brackets": "/x[1]", "braces": "/x{1}", "caret": "/x^", "bad percent": "/x%zz", "cut percent": "/x%", "encoded slash": "/x%2Fy",
        "encoded nul": "/x%00", "dots": "/a/../x", "encoded dots": "/a/%2e%2e/x", "dots above the root": "/../x", "doubled slash": "/a//x", "semicolon": "/a;b/x",
        "encoded backslash": "/a%5Cx", "encoded CRLF": "/x%0d%0aX:%20y", "encoded twice": "/%252e%252e/x",
    }.items():
        add(f"target: {name}", head(f"GET {target} HTTP/1.1"))
    add("target: absolute, no host field", head("GET http://d/x HTTP/1.1", host=None))
    add("target: absolute, host twice", head("GET http://d/x HTTP/1.1", "Host: e"))

    # The request line.
    for name, line in {
        "no version": "GET /x", "0.9": "GET /x HTTP/0.9", "1.0": "GET /x HTTP/1.0", "1.2": "GET /x HTTP/1.2", "2.0": "GET /x HTTP/2.0", "3.0": "GET /x HTTP/3.0", "1": "GET /x HTTP/1",
        "1.10": "GET /x HTTP/1.10", "01.1": "GET /x HTTP/01.1", "lower case": "GET /x http/1.1", "space in it": "GET /x HTTP/1. 1", "other protocol": "GET /x ICAP/1.1",
        "two spaces": "GET  /x  HTTP/1.1", "tabs": "GET\t/x\tHTTP/1.1", "space behind": "GET /x HTTP/1.1 ", "more": "GET /x HTTP/1.1 HTTP/1.1",
    }.items():
        add(f"version: {name}", head(line))
    add("version: 1.0 without a host", head("GET /x HTTP/1.0", host=None))
    add("version: 1.0, kept", head("GET /1 HTTP/1.0", "Connection: keep-alive") + head("GET /2 HTTP/1.0"))
    for name, method in {
        "lower case": "get", "unknown": "FROB", "dav": "PROPFIND", "patch": "PATCH", "trace": "TRACE", "brackets": "G(T", "colon": "GE:T", "nul": "G\x00T", "none": "", "slash": "G/T", "long": "M" * 3000,
        "underscore": "A_B", "dash": "VERSION-CONTROL", "non-ascii": "G\xc9T",
    }.items():
        add(f"method: {name}", head(f"{method} /x HTTP/1.1"))
    add("method: trace with a body", head("TRACE /x HTTP/1.1", "Content-Length: 2") + b"hi")
    add("method: head with a body", head("HEAD /x HTTP/1.1", "Content-Length: 2") + b"hi")
    add("options: star", head("OPTIONS * HTTP/1.1"))
    add("options: star, absolute", head("OPTIONS http://d HTTP/1.1"))
    add("connect", head("CONNECT d:443 HTTP/1.1"))
    add("connect with a path", head("CONNECT /x HTTP/1.1"))
    add("connect, smuggling", head("CONNECT d:443 HTTP/1.1") + SMUGGLED)

    # Connection, upgrade, expectation.
    add("connection: names a field", get("Connection: X-A", "X-A: 1"))
    add("connection: names host", get("Connection: Host"))
    add("connection: close", get("Connection: close"))
    add("connection: close, then a request", get("Connection: close") + SMUGGLED)
    add("upgrade: websocket", get("Connection: Upgrade", "Upgrade: websocket"))
    add("upgrade: websocket with a body", post("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 35", body=SMUGGLED))
    add("upgrade: h2c", get("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"))
    add("upgrade: h2c with a body", post("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Content-Length: 5", body=b"hello"))
    add("upgrade: without connection", get("Upgrade: websocket"))
    add("expect: 100-continue, body at once", post("Expect: 100-continue", "Content-Length: 5", body=b"hello"))
    add("expect: 100-continue without a body", get("Expect: 100-continue"))
    add("expect: something else", post("Expect: magic", "Content-Length: 5", body=b"hello"))
    add("te: trailers", get("TE: trailers"))
    add("te: chunked", get("TE: chunked"))
    add("forwarded: claimed", get("X-Forwarded-For: 1.2.3.4", "X_Forwarded_For: 1.2.3.4"))
    return found
