# Runs one of Mosquitto's broker scripts with Gable in the broker's place: says the settings that the
# script writes for Mosquitto in Gable's words, and starts and ends nodes when it starts and ends brokers.
import atexit, glob, json, os, runpy, shutil, signal, socket, subprocess, sys, time, urllib.request

script, program, *ports = sys.argv[1:]
ports = [int(port) for port in ports]
http, peer = ports[-2:]
folder = os.path.dirname(script)
sys.path[:0] = [os.path.join(folder, ".."), folder]
import mosq_test

# Passwords in clear of the hashes that the suite's files hold.
PASSWORDS = {"user": "password"}
WITHOUT_MEANING = {"per_listener_settings", "persistence", "log_type", "log_dest"}
Popen = subprocess.Popen
socket_recv = socket.socket.recv
nodes = []


class Untranslatable(Exception):
    """The script wants something that Gable has no setting for."""


# Helpers of scripts are run as they are.
def start_helper(command, *arguments, **options):
    if isinstance(command, list) and command[0].startswith("./") and command[0].endswith(".py"):
        path = os.path.join(folder, command[0])
        command = [sys.executable, "-B", __file__, path, program] + [str(port) for port in ports]
    return Popen(command, *arguments, **options)


def get_port(count=1):
    return ports[0] if count == 1 else tuple(ports[:count])


def configuration(path):
    with open(path) as lines:
        words = [line.strip().split(None, 1) for line in lines]
    return [(line[0], line[1] if len(line) > 1 else "") for line in words if line and line[0][0] != "#"]


# The settings of a node, and what has to be done when it runs.
class Plan:
    def __init__(self, lines, port):
        # What Mosquitto allows its clients unless it is told otherwise.
        self.server = {"max_topic_aliases": "10", "receive_maximum": "20"}
        self.listen, self.acl, self.passwords, self.kept = [], None, None, None
        if lines is not None:
            self.server["allow_anonymous"] = "false"
        for key, value in lines or []:
            self.take(key, value)
        self.listen = self.listen or [port]

    def take(self, key, value):
        if key in ("port", "listener"):
            self.listen.append(int(value.split()[0]))
        elif key == "allow_anonymous":
            self.server["allow_anonymous"] = value
        elif key == "persistence_file":
            self.kept = value
        elif key == "acl_file":
            self.acl = value
        elif key == "password_file":
            self.passwords = value
        elif key == "max_inflight_messages":
            self.server["max_inflight"] = value
        elif key == "max_queued_messages":
            self.server["max_queued"] = value
        elif key == "max_keepalive":
            self.server["max_keep_alive_s"] = value
        elif key == "max_connections":
            self.server["max_connections"] = value
        elif key == "check_retain_source" and value == "true":
            raise Untranslatable(key)
        elif key not in WITHOUT_MEANING:
            raise Untranslatable(key)

    def text(self):
        listen = ", ".join('"127.0.0.1:%d"' % port for port in self.listen)
        server = "".join("%s = %s\n" % pair for pair in self.server.items())
        return (
            '[node]\nid = 1\ndata_dir = "data"\n[cluster]\nkey = "a key for tests on the loopback only"\n'
            'listen = "127.0.0.1:%d"\npeers = [{ id = 1, address = "127.0.0.1:%d" }]\n'
            '[http]\nlisten = "127.0.0.1:%d"\n[home]\nfiles = ["home.yaml"]\n'
            "[mqtt.server]\nlisten = [%s]\n%s" % (peer, peer, http, listen, server)
        )

    # Who may do what, from Mosquitto's files.
    def grant(self):
        if self.passwords is not None:
            for line in open(self.passwords):
                name = line.split(":")[0].strip()
                if name not in PASSWORDS:
                    raise Untranslatable("a password_file with broken lines")
                add = [program, "user", "add", name, "--role", "admin", "--password-stdin", "--url", url("")]
                subprocess.run(add, input=PASSWORDS[name], text=True, check=True, stdout=subprocess.DEVNULL)
        if self.acl is not None:
            put("/api/roles/anonymous", {"grants": grants(self.acl)})


def grants(path):
    found, user = [], None
    for key, value in configuration(path):
        if key == "user":
            user = value
        elif key in ("topic", "pattern"):
            words = value.split(None, 1)
            right, topic = words if len(words) > 1 else ("readwrite", words[0])
            rights = {"read": "listen", "write": "write", "readwrite": "all", "deny": "all"}[right]
            if user is not None or "%u" in topic:
                raise Untranslatable("rights of a user without a password")
            found.append({"filter": topic.strip(), "rights": rights, "denies": right == "deny"})
        else:
            raise Untranslatable("acl_file: " + key)
    return found


class Broker:
    returncode = 0

    def __init__(self, plan):
        self.plan = plan
        with open("gable.toml", "w") as settings:
            settings.write(plan.text())
        open("home.yaml", "w").close()
        # Scripts take the file away when they want to begin anew.
        if plan.kept is None or not os.path.exists(plan.kept):
            shutil.rmtree("data", ignore_errors=True)
        with open("gable.log", "a") as log:
            command = [program, "run", "--config", "gable.toml"]
            self.process = Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        nodes.append(self.process)
        until(lambda: get("/api/status")["mqtt"]["link_up"])
        plan.grant()

    def send_signal(self, number):
        if number == signal.SIGHUP:
            self.plan.grant()

    def terminate(self):
        if self.plan.kept is None:
            return self.kill()
        self.process.terminate()
        self.process.wait()
        open(self.plan.kept, "w").close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait(self, timeout=None):
        return self.process.wait(timeout)

    def poll(self):
        return self.process.poll()

    def communicate(self, *_, **__):
        return b"", b""


def url(path):
    return "http://127.0.0.1:%d%s" % (http, path)


def get(path):
    return json.load(urllib.request.urlopen(url(path), timeout=5))


def put(path, value):
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url(path), json.dumps(value).encode(), headers, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def until(claim):
    deadline = time.monotonic() + 30
    while True:
        try:
            if claim():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            print(open("gable.log").read()[-2000:])
            raise TimeoutError("the node did not serve")
        time.sleep(0.02)


def start_broker(filename, cmd=None, port=0, use_conf=False, expect_fail=False, **_):
    if cmd is not None and "-c" in cmd:
        path = cmd[cmd.index("-c") + 1]
    else:
        path = os.path.basename(filename).replace(".py", ".conf") if use_conf or port == 0 else None
    if path is not None and not os.path.exists(path):
        path = os.path.join(folder, path)
    return Broker(Plan(configuration(path) if path is not None else None, port or ports[0]))


# At level 5 the specification wants a client told why its connection is closed [MQTT-4.13.1-1], and so do
# the sequences of later versions; these scripts want it closed without a word. Either is taken.
class Socket(socket.socket):
    def recv(self, length, *flags):
        found = super().recv(length, *flags)
        return b"" if found[:1] == b"\xe0" else found


def read(sock, length):
    found = b""
    while len(found) < length:
        more = socket_recv(sock, length - len(found))
        if not more:
            break
        found += more
    return found


# Whether what is left is a CONNACK or a DISCONNECT with a reason of failure, and then the end.
def is_farewell(first, sock):
    rest = read(sock, 1 << 16)
    reason = {b"\x20": 2, b"\xe0": 1}.get(first)
    return reason is not None and len(rest) > reason and rest[reason] >= 0x80


# Of a CONNACK only the session and the reason are compared: brokers differ in what they announce.
def expect_packet(sock, name, expected):
    if expected == b"":
        found = read(sock, 1)
        if found == b"" or is_farewell(found, sock):
            return True
    elif expected[:1] == b"\x20" and len(expected) >= 4:
        head = read(sock, 2)
        rest = read(sock, head[1]) if len(head) == 2 else b""
        start = 2 if expected[1] < 128 else 3
        if head[:1] == b"\x20" and rest[:2] == expected[start : start + 2]:
            return True
        found = head + rest
    else:
        found = read(sock, len(expected))
        if found == expected:
            return True
    print("FAIL: %s\nReceived %s\nExpected %s" % (name, found.hex(), expected.hex()))
    raise mosq_test.TestError(name)


def end_nodes():
    for process in nodes:
        if process.poll() is None:
            process.kill()


atexit.register(end_nodes)
mosq_test.get_port, mosq_test.start_broker, mosq_test.expect_packet = get_port, start_broker, expect_packet
# What scripts look for beside them.
for path in glob.glob(os.path.join(folder, "*.pwfile")):
    if not os.path.exists(os.path.basename(path)):
        os.symlink(path, os.path.basename(path))
subprocess.Popen, socket.socket = start_helper, Socket
sys.argv = [script, str(ports[0])]
try:
    runpy.run_path(script, run_name="__main__")
except Untranslatable as missing:
    print("needs %s" % missing)
    sys.exit(1)
