"""Certificates by the openssl program: an authority, and pairs that it signs."""

import datetime
import itertools
import os
import subprocess

_NAMES = itertools.count()


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Pair:
    """Files of a certificate and its key."""

    def __init__(self, folder, name):
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"

    @property
    def serial(self):
        """As Python's ssl module prints it."""
        text = subprocess.run(["openssl", "x509", "-in", str(self.certificate), "-noout",
                               "-serial"], check=True, capture_output=True, text=True).stdout
        return text.strip().partition("=")[2]

    @property
    def expiry(self):
        """Unix time."""
        text = subprocess.run(["openssl", "x509", "-in", str(self.certificate), "-noout",
                               "-enddate", "-dateopt", "iso_8601"], check=True,
                              capture_output=True, text=True).stdout
        end = datetime.datetime.fromisoformat(text.strip().partition("=")[2].replace("Z", "+00:00"))
        return int(end.timestamp())


class Authority(Pair):
    """A CA with a key of its own."""

    def __init__(self, folder):
        super().__init__(folder, f"ca{next(_NAMES)}")
        self._folder = folder
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-days", 30, "-subj", f"/CN={self.certificate.stem}", "-keyout", self.key, "-out",
                 self.certificate)

    def issue(self, names="DNS:localhost,IP:127.0.0.1", days=2):
        """A new pair whose subjectAltName is `names`."""
        pair = Pair(self._folder, f"pair{next(_NAMES)}")
        request = pair.certificate.with_suffix(".csr")
        extensions = pair.certificate.with_suffix(".ext")
        extensions.write_text(f"subjectAltName={names}\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                 "/CN=weir test", "-keyout", pair.key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                 "-days", days, "-extfile", extensions, "-out", pair.certificate)
        return pair


class Mounted:
    """A folder as Kubernetes mounts a Secret: names are links through ..data, which is swapped."""

    def __init__(self, folder):
        folder.mkdir()
        self._folder = folder
        self._versions = itertools.count()
        self.certificate = folder / "tls.crt"
        self.key = folder / "tls.key"
        self.ca = folder / "ca.crt"

    def put(self, pair, authority):
        """All files at once."""
        version = self._folder / f"..{next(self._versions)}"
        version.mkdir()
        for name, source in (("tls.crt", pair.certificate), ("tls.key", pair.key),
                             ("ca.crt", authority.certificate)):
            (version / name).write_bytes(source.read_bytes())
            if not (self._folder / name).is_symlink():
                (self._folder / name).symlink_to(f"..data/{name}")
        link = self._folder / "..data_tmp"
        link.symlink_to(version.name)
        os.replace(link, self._folder / "..data")


def replace(target, source):
    """A file replaced by another's content, by a rename."""
    new = target.with_name(target.name + ".new")
    new.write_bytes(source.read_bytes())
    os.replace(new, target)
