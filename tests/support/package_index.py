"""A package index on loopback (PEP 503 and 691), made from a list of files.

    with PackageIndex(packages.sample(directory)) as index:
        … --index-url {index.url} …
        assert index.asked('/simple/alpha/') == 1

It counts what it is asked for, and fails as it is told: fail() names a part of a path, how, and
how often. A file is served under /files/, a project's page under /simple/.
"""
import base64
import collections
import fnmatch
import hashlib
import html
import http.server
import json
import pathlib
import re
import threading

JSON = 'application/vnd.pypi.simple.v1+json'

Fault = collections.namedtuple('Fault', 'pattern how times')


def project_of(file_name):
    """The project's normal name (PEP 503) of a wheel or an sdist."""
    stem = file_name.split('-')[0] if file_name.endswith('.whl') else \
        file_name.removesuffix('.tar.gz').rsplit('-', 1)[0]
    return re.sub('[-_.]+', '-', stem).lower()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        index = self.server.index
        fault = index.note(self.command, self.path)
        if isinstance(fault, int):
            return self.answer(fault, b'this is how the test wants it\n')
        if isinstance(fault, threading.Event):
            fault.wait()
        if fault == 'hang':
            index.closing.wait()
            self.close_connection = True
            return None
        if index.login and self.headers.get('Authorization') != index.authorization:
            return self.answer(401, b'who are you?\n',
                               headers=[('WWW-Authenticate', 'Basic realm="packages"')])
        found = index.find(self.path, JSON in self.headers.get('Accept', ''))
        if not found:
            return self.answer(404, b'there is no such thing\n')
        return self.answer(200, *found, cut=fault == 'cut')

    def answer(self, status, data, kind='text/plain', headers=(), cut=False):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(data)))
        for header in headers:
            self.send_header(*header)
        if cut:
            data = data[:len(data) // 2]
            self.close_connection = True
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, index):
        super().__init__(('127.0.0.1', 0), Handler)
        self.index = index

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is nothing to speak of."""


class PackageIndex:
    """files: paths of wheels and sdists, not read before they are asked for. yanked: reasons by
    file name. login: (user, password) without which it answers 401; they are part of the url.
    wrong_hash: names of files whose announced SHA-256 is not theirs.
    requires_python: what to announce, by file name."""

    def __init__(self, files, yanked=None, login=None, wrong_hash=(), requires_python=None):
        self.files = {pathlib.Path(file).name: pathlib.Path(file) for file in files}
        self.yanked, self.wrong_hash = yanked or {}, wrong_hash
        self.requires_python = requires_python or {}
        self.login = login
        text = base64.b64encode(':'.join(login).encode()).decode() if login else ''
        self.authorization = f'Basic {text}'
        self.requests = collections.Counter()
        self.faults = []
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.server = Server(self)
        self.thread = threading.Thread(target=self.server.serve_forever, args=[0.01],
                                       daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def port(self):
        return self.server.server_port

    @property
    def url(self):
        login = ':'.join(self.login) + '@' if self.login else ''
        return f'http://{login}127.0.0.1:{self.port}/simple/'

    def fail(self, pattern, how, times=None):
        """The next requests (all, if times is None) whose path fits the pattern (as a shell's)
        fail: with a status (an int), or "hang", or "cut" in the middle of the body; or they are
        answered when an event (of threading) is set."""
        with self.lock:
            self.faults.append(Fault(pattern, how, times))

    def asked(self, pattern='*'):
        """How many requests there were for paths that fit the pattern."""
        with self.lock:
            return sum(count for (_, path), count in self.requests.items()
                       if fnmatch.fnmatchcase(path, pattern))

    def publish(self, *files):
        """From now on it has these as well."""
        for file in files:
            self.files[pathlib.Path(file).name] = pathlib.Path(file)

    # -- for the handler, in its threads

    def note(self, method, path):
        """Counts the request; how it is to fail, if it is."""
        with self.lock:
            self.requests[method, path] += 1
            for at, (pattern, how, times) in enumerate(self.faults):
                if not fnmatch.fnmatchcase(path, pattern):
                    continue
                if times is not None:
                    self.faults[at] = Fault(pattern, how, times - 1)
                    if times == 1:
                        del self.faults[at]
                return how
        return None

    def find(self, path, as_json):
        """Content and its type of a path; None if there is no such thing."""
        if path.startswith('/files/'):
            file = self.files.get(path.removeprefix('/files/'))
            return (file.read_bytes(), 'application/octet-stream') if file else None
        if not path.startswith('/simple/'):
            return None
        project = path.removeprefix('/simple/').rstrip('/')
        files = [self.describe(name) for name in sorted(self.files)
                 if project_of(name) == project]
        if not files:
            return None
        return self.as_json(project, files) if as_json else self.as_html(files)

    def describe(self, name):
        data = self.files[name].read_bytes()
        if name in self.wrong_hash:
            data += b'not the same'
        described = {'filename': name, 'url': f'/files/{name}',
                     'hashes': {'sha256': hashlib.sha256(data).hexdigest()}}
        if name in self.yanked:
            described['yanked'] = self.yanked[name]
        if name in self.requires_python:
            described['requires-python'] = self.requires_python[name]
        return described

    @staticmethod
    def as_json(project, files):
        page = {'meta': {'api-version': '1.0'}, 'name': project, 'files': files}
        return json.dumps(page).encode(), JSON

    @staticmethod
    def as_html(files):
        lines = []
        for file in files:
            attributes = ''.join(f' data-{key}="{html.escape(file[key])}"'
                                 for key in ('requires-python', 'yanked') if key in file)
            lines.append(f'<a href="{file["url"]}#sha256={file["hashes"]["sha256"]}"'
                         f'{attributes}>{file["filename"]}</a><br>')
        return ('<!DOCTYPE html><html><body>' + '\n'.join(lines) + '</body></html>').encode(), \
            'text/html'
