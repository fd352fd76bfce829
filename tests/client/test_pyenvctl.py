"""pyenvctl against a daemon that only answers (tests/support/fake_pyenvd.py).

usage: test_pyenvctl.py PYENVCTL USE-SHARED USE-STATIC [CASE…]
"""

import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1))
USE_LIBRARY = [os.path.abspath(sys.argv.pop(1)) for _ in range(2)]
SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")


class Fake:
    """The daemon, one for all tests."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="pyenvctl-")
        self.socket = os.path.join(self.directory, "sock")
        os.mkdir(os.path.join(self.directory, "bin"))
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(SUPPORT, "fake_pyenvd.py"), self.directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"ready\n"

    def stop(self):
        self.process.communicate()
        shutil.rmtree(self.directory)

    def calls(self):
        with open(os.path.join(self.directory, "calls"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]


def setUpModule():
    global fake
    fake = Fake()


def tearDownModule():
    fake.stop()


class Case(unittest.TestCase):
    def setUp(self):
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self.env["PYENVD_SOCKET"] = fake.socket
        self.env["TZ"] = "UTC"
        self.scratch = tempfile.mkdtemp(prefix="pyenvctl-")
        self.addCleanup(shutil.rmtree, self.scratch)
        self.before = len(fake.calls()) if os.path.exists(fake.directory + "/calls") else 0

    def ctl(self, *arguments, code=0, env=None, cwd=None):
        """What came out: standard output, and error, of a run that exits with code."""
        done = subprocess.run(
            [PROGRAM, *arguments],
            env=self.env | (env or {}),
            cwd=cwd or self.scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        self.assertEqual(done.returncode, code, (arguments, out, err))
        return out, err

    def calls(self):
        return fake.calls()[self.before :]

    def request(self):
        return self.calls()[-1]["request"]


class Usage(Case):
    def test_help(self):
        for arguments in (["--help"], ["help"], ["-h"]):
            out, err = self.ctl(*arguments)
            self.assertIn("Verbs:", out)
            self.assertEqual(err, "")
        for verb in ("create", "run", "release", "renew", "status", "list", "show", "collect"):
            out, _ = self.ctl(verb, "--help")
            self.assertTrue(out.startswith(f"Usage: pyenvctl {verb} "), out)
            self.assertEqual(out, self.ctl("help", verb)[0])
            self.assertEqual([], [line for line in out.splitlines() if line.endswith(" ")])

    def test_version(self):
        self.assertRegex(self.ctl("--version")[0], r"^pyenvctl \d+\.\d+\.\d+\n$")
        self.assertRegex(self.ctl("status", "--version")[0], r"^pyenvctl \d+\.\d+\.\d+\n$")

    def test_what_is_wrong_is_said_and_exits_with_2(self):
        with open(self.scratch + "/latin1", "wb") as file:
            file.write(b"python.files: /\xfc\n")
        for arguments, words in (
            ([], "verb"),
            (["frobnicate"], "unknown verb 'frobnicate'"),
            (["help", "frobnicate"], "unknown verb 'frobnicate'"),
            (["--wrong"], "unknown option '--wrong'"),
            (["status", "-x"], "unknown option '-x'"),
            (["status", "extra"], "unexpected argument 'extra'"),
            (["status", "--json=1"], "takes no value"),
            (["status", "--timeout"], "needs a value"),
            (["status", "--timeout", "soon"], "'--timeout soon'"),
            (["release"], "argument is missing"),
            (["list", "pages"], "'pages' is no list"),
            (["create", "--env", "NOVALUE"], "not NAME=VALUE"),
            (["create", "--env", "=x"], "not NAME=VALUE"),
            (["create", "--archive", ""], "empty"),
            (["create", "--archive", "#x"], "empty"),
            (["create", "--bytecode", "often"], "'--bytecode often'"),
            (["create", "--flink-conf", "/nonexistent"], "'/nonexistent': cannot be read: No such"),
            (["create", "--flink-conf", "/"], "'/': cannot be read: Is a directory"),
            (["create", "--flink-conf", "latin1"], "not a text in UTF-8"),
            (["create", "--flink-conf", "/dev/zero"], "cannot be read: File too large"),
            (["create", "--cached-file", "key"], "'--cached-file key': not KEY=FILE"),
            (["create", "--cached-file", "=/x"], "not KEY=FILE"),
            (["create", "--cached-file", "key="], "cached file 'key=': the file's name is empty"),
            (["create", "--ttl", "0"], "'--ttl 0'"),
            (["create", "--ttl", "31d"], "'--ttl 31d'"),
            (["create", "--pid", "0"], "'--pid 0'"),
            (["create", "--pid", "-1"], "'--pid -1'"),
            (["create", "--pid", "1", "--ttl", "1h"], "exclude"),
            (["create", "--guardian", "0", "--pid", "7"], "'--guardian 0'"),
            (["create", "--guardian", "2147483648", "--pid", "7"], "'--guardian 2147483648'"),
            (["create", "--guardian", "4712"], "'--guardian' needs '--pid'"),
            (["create", "--shell", "--json"], None),
            (["collect", "--max-bytes", "much"], "'--max-bytes much'"),
            (["collect", "--idle", "200000d"], "'--idle 200000d'"),
        ):
            out, err = self.ctl(*arguments, code=2)
            self.assertEqual(out, "")
            if words:
                self.assertTrue(err.startswith("pyenvctl: "), err)
                self.assertIn(words, err)
                self.assertIn("--help", err)
        self.assertEqual(self.calls(), [])

    def test_wrong_usage_of_run_exits_with_125(self):
        self.ctl("run", code=125)
        self.ctl("run", "--wrong", "--", "true", code=125)

    def test_wrong_usage_in_json(self):
        _, err = self.ctl("--json", "status", "--wrong", code=2)
        error = json.loads(err)["error"]
        self.assertEqual(error["code"], "INVALID_ARGUMENT")
        self.assertIn("--wrong", error["message"])


class Unreachable(Case):
    def test_no_socket(self):
        path = self.scratch + "/absent"
        _, err = self.ctl("status", "--socket", path, code=3)
        self.assertIn(path, err)
        self.assertIn("No such file or directory; is pyenvd running?", err)

    def test_nobody_listens(self):
        path = self.scratch + "/sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
        _, err = self.ctl("--socket=" + path, "status", code=3)
        self.assertIn("nobody listens there", err)

    def test_no_socket_at_all(self):
        path = self.scratch + "/file"
        with open(path, "wb"):
            pass
        _, err = self.ctl("status", "--socket", path, code=3)
        self.assertIn("not a socket", err)

    def test_a_path_that_is_too_long(self):
        _, err = self.ctl("status", "--socket", "/" + "x" * 108, code=3)
        self.assertIn("107 bytes", err)

    @unittest.skipIf(os.getuid() != 0, "only root can become somebody who may not")
    def test_permission(self):
        os.chmod(self.scratch, 0o755)
        path = self.scratch + "/sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen()
            os.chmod(path, 0o660)
            program = shutil.copy(PROGRAM, self.scratch)
            done = subprocess.run(
                [program, "--socket", path, "status"],
                user=65534, group=65534, extra_groups=[], capture_output=True, check=False,
            )
        self.assertEqual(done.returncode, 3)
        self.assertIn(b"only members of group 'root' may", done.stderr)

    def test_in_json(self):
        _, err = self.ctl("status", "--json", "--socket", self.scratch + "/absent", code=3)
        error = json.loads(err)["error"]
        self.assertEqual((error["code"], error["reason"]), ("UNAVAILABLE", ""))

    def test_run_exits_with_125(self):
        self.ctl("run", "--socket", self.scratch + "/absent", "true", code=125)

    def listener(self, path, answer):
        """A child that accepts one connection and answers so."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        child = os.fork()
        if child == 0:
            connection, _ = listener.accept()
            answer(connection)
            os._exit(0)
        listener.close()
        self.addCleanup(os.waitpid, child, 0)

    def test_a_connection_that_is_closed(self):
        path = self.scratch + "/sock"
        self.listener(path, lambda connection: connection.close())
        _, err = self.ctl("status", "--socket", path, code=3)
        self.assertIn("lost the daemon at", err)

    def test_something_that_is_no_grpc(self):
        path = self.scratch + "/sock"
        self.listener(
            path, lambda connection: (connection.recv(9), connection.send(b"HTTP/1.1 400 No\r\n\r\n" * 9))
        )
        _, err = self.ctl("status", "--socket", path, code=3)
        self.assertIn("lost the daemon at", err)

    def test_a_daemon_that_never_answers(self):
        path = self.scratch + "/sock"
        self.listener(path, lambda connection: time.sleep(2))
        begin = time.monotonic()
        _, err = self.ctl("status", "--socket", path, "--timeout", "200ms", code=1)
        self.assertIn("did not answer within 0.2 s", err)
        self.assertLess(time.monotonic() - begin, 2)

    def test_a_daemon_that_accepts_nobody(self):
        path = self.scratch + "/sock"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(0)
            with socket.socket(socket.AF_UNIX) as first:
                first.connect(path)
                _, err = self.ctl("status", "--socket", path, "--timeout", "200ms", code=3)
        self.assertIn("takes no connections", err)

    @unittest.skipIf(os.path.exists("/run/pyenvd/pyenvd.sock"), "there is a real daemon")
    def test_the_default(self):
        _, err = self.ctl("status", code=3, env={"PYENVD_SOCKET": ""})
        self.assertIn("'/run/pyenvd/pyenvd.sock'", err)


class Create(Case):
    def test_text(self):
        out, err = self.ctl("create", "--archive", "/srv/venv.zip#venv", "--python", "venv/bin/python")
        self.assertEqual(err, "")
        for line in (
            r"lease: +lease1",
            r"dependency hash: +0123456789abcdef.*",
            r"hit: +no",
            f"working directory: +{fake.directory}/work",
            r"interpreter: +/usr/bin/python3",
            r"ends: +2023-11-14T22:13:20\+00:00 .*",
            r"time: +1\.2 s \(sources 400 µs, layers 5\.6 ms, lease 100 µs\)",
            r"variable: +PYTHONDONTWRITEBYTECODE=1",
            r"layer1 +made +3\.0 MiB +/srv/venv\.zip +/layers/layer1/tree",
        ):
            self.assertRegex(out, f"(?m)^{line}$")

    def test_the_whole_request(self):
        self.ctl(
            "create", "--archive", "/srv/a b.zip", "-a", "./x.tar#models/x#y", "--archive-copy",
            "/srv/own.zip#own", "--archive", "/srv/e.zip#", "--python-file", "lib/f.py",
            "-f/srv/g.py#h.py", "--python", "python3", "--python-path", "/opt:rel::/srv",
            "--env", "A=1", "-eB=x=y", "--env", "A=2", "--bytecode", "always", "--label", "lß",
            "--request-id", "r1", "--ttl", "10m", env={"PATH": "/bin", "PYTHONPATH": "/p"},
        )
        self.assertEqual(
            self.request(),
            {
                "request_id": "r1",
                "label": "lß",
                "archives": [
                    {"path": "/srv/a b.zip", "target_dir": "a b.zip"},
                    {"path": self.scratch + "/x.tar", "target_dir": "models/x#y"},
                    {"path": "/srv/own.zip", "target_dir": "own", "private_copy": True},
                    {"path": "/srv/e.zip"},
                ],
                "python_files": [
                    {"path": self.scratch + "/lib/f.py"},
                    {"path": "/srv/g.py", "name": "h.py"},
                ],
                "python": "python3",
                "python_path": f"/opt:{self.scratch}/rel:/srv",
                "variables": {"A": "2", "B": "x=y"},
                "base_variables": {"PATH": "/bin", "PYTHONPATH": "/p"},
                "holder": {"time_to_live": {"seconds": 600}},
                "bytecode": "BYTECODE_ALWAYS",
            },
        )

    def test_workers(self):
        self.ctl("create", "--worker-command", "r.sh")
        self.assertEqual(self.request()["process_worker"], {"command": self.scratch + "/r.sh"})
        self.ctl("create", "--docker", "img:1")
        self.assertEqual(self.request()["docker_worker"], {"container_image": "img:1"})
        _, err = self.ctl("create", "--docker", "img:1", "--worker-command", "/r.sh", code=2)
        self.assertIn("exclude each other", err)

    def test_a_configuration_of_flink(self):
        with open(self.scratch + "/conf.yaml", "w", encoding="utf-8") as file:
            file.write("jobmanager.rpc.address: h\npython.archives: /a.zip#venv # ours\n"
                       "python:\n  executable: 'venv/bin/python'\ns3.secret-key: hidden\n")
        self.ctl("create", "--flink-conf", "conf.yaml", "--cached-file", "k1=blob",
                 "--cached-file", "k2=/b=c", "--label", "l", env={"PATH": "/bin"})
        self.assertEqual(
            self.request(),
            {
                "label": "l",
                "base_variables": {"PATH": "/bin"},
                "holder": {"time_to_live": {"seconds": 3600}},
                "flink": {
                    "configuration": {
                        "python.archives": "/a.zip#venv",
                        "python.executable": "venv/bin/python",
                    },
                    "cached_files": {"k1": self.scratch + "/blob", "k2": "/b=c"},
                },
            },
        )

    def test_a_broken_configuration_of_flink(self):
        with open(self.scratch + "/conf.yaml", "w", encoding="utf-8") as file:
            file.write("a: b\npython.files=/x\n")
        _, err = self.ctl("create", "--flink-conf", "conf.yaml", code=2)
        self.assertIn("configuration of Flink 'conf.yaml': line 2: not 'key: value'", err)

    def test_links_are_not_resolved(self):
        os.symlink("/nonexistent/blob", self.scratch + "/venv.zip")
        self.ctl("create", "--archive", "venv.zip")
        self.assertEqual(self.request()["archives"][0]["path"], self.scratch + "/venv.zip")

    def test_holders(self):
        self.ctl("create")
        self.assertEqual(self.request()["holder"], {"time_to_live": {"seconds": 3600}})
        self.ctl("create", "--pid", "4711")
        self.assertEqual(self.request()["holder"], {"process": {"pid": 4711}})
        guarded = {"process": {"pid": 4711, "guardian_pid": 4712}}
        self.ctl("create", "--guardian", "4712", "--pid", "4711")
        self.assertEqual(self.request()["holder"], guarded)
        self.ctl("run", "--guardian=4712", "--", "true")
        self.assertEqual(self.request()["holder"], {"process": {"guardian_pid": 4712}})

    def test_json(self):
        out, _ = self.ctl("create", "--json", "--archive", "/srv/venv.zip")
        environment = json.loads(out)
        self.assertEqual(environment["lease_id"], "lease1")
        self.assertIs(environment["hit"], False)
        self.assertEqual(environment["layers"][0]["origin"], "LAYER_ORIGIN_MADE")
        self.assertEqual(environment["layers"][0]["size_bytes"], 3 << 20)
        self.assertEqual(environment["variables"]["PYTHONDONTWRITEBYTECODE"], "1")
        self.assertEqual(environment["timings"]["total_us"], 1234567)
        self.assertEqual(environment["interpreter"], "")
        self.assertEqual(environment["beam_environment"], "//4=")

    def test_a_shell_can_evaluate_it(self):
        out, _ = self.ctl("create", "--shell", "--env", "Q=it's $HOME", "--env", "not-a-name=1")
        done = subprocess.run(
            ["sh", "-c", out + 'printf "%s|%s|%s" "$Q" "$PYENVD_LEASE" "$PYENVD_WORKING_DIRECTORY"'],
            capture_output=True, text=True, check=True,
        )
        self.assertEqual(done.stdout, f"it's $HOME|lease1|{fake.directory}/work")
        self.assertNotIn("not-a-name", out)

    def test_a_refusal(self):
        _, err = self.ctl("create", "--label", "refused", code=1)
        self.assertEqual(err, "pyenvctl: archive '/x': no such file?[31m\n")
        _, err = self.ctl("create", "--label", "refused", "--json", code=1)
        self.assertEqual(
            json.loads(err),
            {
                "error": {
                    "code": "NOT_FOUND",
                    "reason": "SOURCE_NOT_FOUND",
                    "message": "archive '/x': no such file?[31m",
                }
            },
        )

    def test_the_deadline_is_sent_and_kept(self):
        _, err = self.ctl("create", "--label", "slow", "--timeout", "300ms", code=1)
        self.assertRegex(err, "Deadline Exceeded|did not answer within 0.3 s")
        self.assertLess(self.calls()[0]["seconds"], 0.4)
        self.ctl("create")
        self.assertGreater(self.calls()[-1]["seconds"], 1e9)
        self.ctl("status")
        self.assertLess(self.calls()[-1]["seconds"], 31)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [PROGRAM, "create"], env=self.env, stdout=full, stderr=subprocess.PIPE, check=False
            )
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"No space left", done.stderr)

    def interrupt(self, number, **options):
        process = subprocess.Popen(
            [PROGRAM, "create", "--label", "slow"],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )
        while not self.calls():
            time.sleep(0.02)
        process.send_signal(number)
        return process

    def test_ctrl_c_cancels_the_create(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.before = len(fake.calls())
            process = self.interrupt(number)
            _, err = process.communicate(timeout=10)
            self.assertEqual(process.returncode, -number)
            self.assertEqual(err, b"pyenvctl: cancelled\n")
            while self.calls()[-1]["method"] != "gone":
                time.sleep(0.02)

    def test_an_ignored_signal_stays_ignored(self):
        def ignore():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

        process = self.interrupt(signal.SIGHUP, preexec_fn=ignore)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        process.terminate()
        process.communicate(timeout=10)


class Terminal(Case):
    def on_terminal(self, *arguments, term="xterm"):
        """What a terminal of 60 columns would get on standard error."""
        leader, follower = pty.openpty()
        import fcntl, struct, termios

        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        process = subprocess.Popen(
            [PROGRAM, *arguments],
            env=self.env | {"TERM": term},
            stdout=subprocess.PIPE,
            stderr=follower,
        )
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 4096)
            except OSError:
                break
            if not piece:
                break
            seen += piece
        os.close(leader)
        out, _ = process.communicate(timeout=10)
        return process.returncode, out.decode(), seen.decode()

    def test_progress(self):
        code, out, seen = self.on_terminal("create")
        self.assertEqual(code, 0)
        self.assertIn("lease1", out)
        self.assertIn("[##########..........]  50 %  ve?nv.zip: extracting, 2.0 Mi", seen)
        self.assertTrue(seen.endswith("\r\x1b[K"))
        for line in re.findall(r"\r([^\x1b]*)\x1b\[K", seen):
            self.assertLess(len(line), 60)
        self.assertEqual(self.calls()[-1]["method"], "CreateEnvironmentWithProgress")

    def test_quiet_and_dumb(self):
        self.assertEqual(self.on_terminal("create", "--quiet")[2], "")
        self.assertEqual(self.calls()[-1]["method"], "CreateEnvironment")
        self.assertEqual(self.on_terminal("create", term="dumb")[2], "")

    def test_an_error_stands_on_a_line_of_its_own(self):
        code, out, seen = self.on_terminal("create", "--label", "refused")
        self.assertEqual((code, out), (1, ""))
        self.assertTrue(seen.endswith("\r\x1b[Kpyenvctl: archive '/x': no such file?[31m\r\n"), seen)

    def test_a_stream_without_a_result(self):
        code, _, seen = self.on_terminal("create", "--label", "no-result")
        self.assertEqual(code, 3)
        self.assertIn("without a result", seen)

    def test_run_shows_progress_and_becomes_the_command(self):
        code, out, seen = self.on_terminal("run", "--", "echo", "done")
        self.assertEqual((code, out), (0, "done\n"))
        self.assertTrue(seen.endswith("\r\x1b[K"))


class Run(Case):
    def test_the_command_is_the_process_that_holds_the_lease(self):
        process = subprocess.Popen(
            [PROGRAM, "run", "sh", "-c", "echo $$"],
            env=self.env, stdout=subprocess.PIPE, text=True,
        )
        out, _ = process.communicate(timeout=10)
        self.assertEqual(out, f"{process.pid}\n")
        self.assertEqual(self.request()["holder"], {"process": {}})

    def test_variables_and_directory(self):
        out, _ = self.ctl(
            "run", "--env", "A=ours", "sh", "-c", 'echo "$A|$B|$(pwd -P)|$PATH"',
            env={"A": "theirs", "B": "kept", "PATH": "/usr/bin:/bin"},
        )
        self.assertEqual(
            out,
            f"ours|kept|{os.path.realpath(fake.directory)}/work|{fake.directory}/bin:/usr/bin:/bin\n",
        )
        self.assertEqual(self.request()["base_variables"], {"PATH": "/usr/bin:/bin"})

    def test_clean_env(self):
        out, _ = self.ctl("run", "--clean-env", "--env", "A=1", "--", "env", env={"B": "2"})
        names = sorted(line.split("=")[0] for line in out.splitlines())
        self.assertEqual(names, ["A", "PATH", "PYTHONDONTWRITEBYTECODE"])
        self.assertNotIn("base_variables", self.request())

    def test_the_command_is_searched_on_the_new_path(self):
        script = fake.directory + "/bin/only-there"
        with open(script, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\necho "there: $*"\n')
        os.chmod(script, 0o755)
        out, _ = self.ctl("run", "only-there", "--json", "-x")
        self.assertEqual(out, "there: --json -x\n")

    def test_exit_codes(self):
        self.ctl("run", "--", "sh", "-c", "exit 7", code=7)
        _, err = self.ctl("run", "--", "no-such-command", code=127)
        self.assertEqual(
            err, "pyenvctl: cannot execute 'no-such-command': No such file or directory\n"
        )
        self.ctl("run", "--", "/etc/passwd", code=126)
        self.ctl("run", "--label", "refused", "true", code=125)
        _, err = self.ctl("run", "--label", "no-directory", "true", code=125)
        self.assertIn("cannot enter", err)
        _, err = self.ctl("run", "--json", "no-such-command", code=127)
        self.assertIn("no-such-command", json.loads(err)["error"]["message"])

    def test_the_command_gets_no_descriptor_of_ours(self):
        out, _ = self.ctl("run", "ls", "/proc/self/fd")
        self.assertEqual(out.split(), ["0", "1", "2", "3"])

    def test_the_command_gets_default_signals(self):
        out, _ = self.ctl("run", "cat", "/proc/self/status")
        self.assertEqual(re.findall(r"Sig(?:Cgt|Blk):\s*(\w+)", out), ["0" * 16] * 2)


class Others(Case):
    def test_release(self):
        out, _ = self.ctl("release", "lease1", "gone")
        self.assertEqual(out, "lease1: released\ngone: no such lease\n")
        out, err = self.ctl("release", "foreign", "lease1", code=1)
        self.assertEqual((out, err), ("lease1: released\n", "pyenvctl: foreign: not yours\n"))
        out, _ = self.ctl("release", "--json", "lease1", "gone")
        self.assertEqual(
            json.loads(out),
            {
                "releases": [
                    {"lease_id": "lease1", "released": True},
                    {"lease_id": "gone", "released": False},
                ]
            },
        )

    def test_renew(self):
        out, _ = self.ctl("renew", "lease1", "--ttl", "100")
        self.assertEqual(out, "lease1: until 2023-11-14T22:15:00+00:00\n")
        self.ctl("renew", "lease1")
        self.assertEqual(self.request(), {"lease_id": "lease1", "seconds": 3600})
        out, _ = self.ctl("renew", "lease1", "--ttl=1", "--json")
        self.assertEqual(
            json.loads(out), {"lease_id": "lease1", "expires_unix_ms": 1_700_000_001_000}
        )

    def test_token(self):
        out, _ = self.ctl("token", "lease1")
        self.assertEqual(out, "/leases/lease1/t.json\n")
        self.assertEqual(self.request(), {"lease_id": "lease1"})
        out, _ = self.ctl("token", "lease1", "--json")
        self.assertEqual(
            json.loads(out), {"lease_id": "lease1", "retrieval_token": "/leases/lease1/t.json"}
        )
        out, err = self.ctl("token", "gone", code=1)
        self.assertEqual((out, err), ("", "pyenvctl: there is no lease 'gone'\n"))
        _, err = self.ctl("token", code=2)
        self.assertIn("usage: pyenvctl token [OPTION…] LEASE", err)

    def test_status(self):
        out, _ = self.ctl("status")
        for line in (
            r"version: +9\.9",
            r"state: +serving",
            r"layer size: +5\.0 GiB \(5368709120 bytes\)",
            r"limit: +none",
            r"creates: +7, of them 6 hits and 0 failures",
            r"limitation: +no Landlock",
        ):
            self.assertRegex(out, f"(?m)^{line}$")
        status = json.loads(self.ctl("status", "--json")[0])
        self.assertEqual(status["layer_bytes"], 5 << 30)
        self.assertEqual(status["state"], "SERVING_STATE_SERVING")
        self.assertEqual(status["leftovers"], [])

    def test_lists(self):
        out, _ = self.ctl("list", "leases")
        lines = out.splitlines()
        self.assertEqual(lines[0].split()[:3], ["LEASE", "OWNER", "HOLDER"])
        self.assertEqual([line.split()[0] for line in lines[1:]], [f"lease{i}" for i in range(5)])
        self.assertEqual(lines[0].split()[3], "GUARDIAN")
        self.assertRegex(lines[1], "process 4711 +4712 ")
        self.assertNotIn("\x1b", out)
        self.assertEqual([call["method"] for call in self.calls()], ["ListLeases"] * 3)
        leases = json.loads(self.ctl("list", "leases", "--json")[0])
        self.assertEqual(list(leases), ["leases"])
        self.assertEqual(len(leases["leases"]), 5)
        self.assertEqual(leases["leases"][1]["label"], "\x1b[31mred")
        self.assertIn("layer1  archive  ready  all    3.0 MiB", self.ctl("list", "layers")[0])
        self.assertIn("0123456789ab  root   5.0 GiB", self.ctl("list", "environments")[0])
        self.assertIn("c1        layer", self.ctl("list", "creations")[0])
        creations = json.loads(self.ctl("list", "creations", "--json")[0])
        self.assertEqual(creations["creations"][0]["phase"], 99)

    def test_explain(self):
        out, _ = self.ctl("explain", "--label", "known", "--python", "python9")
        self.assertRegex(out, "^known and ready: +0123456789abcdef[0-9a-f]*\n$")
        self.assertEqual(self.request()["request"]["python"], "python9")
        self.assertNotIn("holder", self.request()["request"])
        out, _ = self.ctl("explain")
        self.assertRegex(out, "^ready, not known: +0123456789abcdef")
        self.assertRegex(out, r"(?m)^nearest: +fedcba[0-9a-f]* \(0 of 1 parts, used .* ago\)$")
        self.assertRegex(out, r"(?m)^differs: +variable A \?\[31m only here$")
        self.assertIs(json.loads(self.ctl("explain", "--json")[0])["known"], False)
        _, err = self.ctl("explain", "word", code=2)
        self.assertIn("unexpected argument 'word'", err)

    def test_show(self):
        self.assertRegex(self.ctl("show", "lease1")[0], "(?m)^holder: +process 4711$")
        self.assertRegex(self.ctl("show", "lease1")[0], "(?m)^guardian: +process 4712$")
        self.assertRegex(self.ctl("show", "layer1")[0], "(?m)^entries: +17$")
        self.assertRegex(
            self.ctl("show", "01234567")[0], "(?m)^archive: +venv = 0123456789abcdef"
        )
        found = json.loads(self.ctl("show", "layer1", "--json")[0])
        self.assertIsNone(found["lease"])
        self.assertEqual(found["layer"]["entries"], 17)
        _, err = self.ctl("show", "nothing", code=1)
        self.assertEqual(err, "pyenvctl: no such thing: nothing\n")

    def test_collect(self):
        out, _ = self.ctl("collect", "--dry-run", "--max-bytes", "2G", "--idle", "1d")
        self.assertEqual(
            self.request(), {"dry_run": True, "max_bytes": str(2 << 30), "idle_seconds": 86400}
        )
        self.assertIn("would remove 1 layer, 3.0 MiB; 0 B stay\n", out)
        self.assertIn("removed 1 layer", self.ctl("collect")[0])
        self.assertEqual(json.loads(self.ctl("collect", "--json")[0])["freed_bytes"], 3 << 20)


class Library(Case):
    def test_a_strangers_program(self):
        for program in USE_LIBRARY:
            done = subprocess.run(
                [program, fake.socket], capture_output=True, timeout=60, check=False
            )
            self.assertEqual((done.returncode, done.stderr), (0, b""), program)


if __name__ == "__main__":
    unittest.main()
