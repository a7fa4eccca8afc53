# SPDX-License-Identifier: GPL-2.0-only
"""The certificate of a cluster: made by openssl, used by Dask's own TLS on every connection.

One certificate and its key are the whole cluster's: who has the directory belongs to it, and nobody
else is talked to, whatever the name of the machine. https://distributed.dask.org/en/stable/tls.html
"""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path
from typing import Any

from lkltest.nightly.cluster.errors import ClusterError

CERTIFICATE, KEY = "certificate.pem", "key.pem"
_DAYS = 3650
_REQUEST = """\
[req]
distinguished_name = name
x509_extensions = cluster
prompt = no
[name]
CN = lkltest cluster
[cluster]
basicConstraints = critical, CA:true
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
"""
"""A request for a certificate that signs itself, as strict as Python 3.13 asks."""


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Make the certificate and the key of a new cluster, which nobody else can read.

    Raises ClusterError: there is one already, or openssl is missing or refuses; OSError.
    """
    certificate, key = directory / CERTIFICATE, directory / KEY
    for file in (certificate, key):
        if file.exists():
            raise ClusterError(f"{file}: exists already; a new cluster needs a new directory")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", str(_DAYS), "-config", "/dev/stdin"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    try:
        done = subprocess.run(
            command, input=_REQUEST, capture_output=True, text=True, check=False, umask=0o077
        )
    except FileNotFoundError:
        raise ClusterError("openssl is missing: apt-get install openssl") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise ClusterError(f"openssl made no certificate in {directory}: {said}")
    return certificate, key


def security(directory: Path | None, address: str = "") -> Any:
    """Dask's Security with the certificate of a directory, None for None.

    Raises ClusterError, also where the `address` asks for a certificate and there is none.
    """
    if directory is None:
        if address.startswith("tls:") and not _in_settings():
            raise ClusterError(f"{address} needs a certificate: --tls DIR")
        return None
    certificate, key = str(directory / CERTIFICATE), str(directory / KEY)
    try:
        ssl.create_default_context(cafile=certificate).load_cert_chain(certificate, key)
    except OSError as error:  # what ssl says is one, too
        message = f"{directory}: has no certificate and key of a cluster ({error.strerror})"
        raise ClusterError(f"{message}: lkltest cluster certificates {directory}") from None
    from distributed import Security

    roles = ("client", "scheduler", "worker")
    pairs = {f"tls_{role}_cert": certificate for role in roles}
    pairs |= {f"tls_{role}_key": key for role in roles}
    return Security(tls_ca_file=certificate, require_encryption=True, **pairs)


def _in_settings() -> bool:
    """Whether Dask's own settings name a certificate."""
    import dask.config

    return bool(dask.config.get("distributed.comm.tls.client.cert"))
