"""Certificates for tests, made by openssl: an authority, a server, a client, and wrong ones."""

import ssl
import subprocess
from pathlib import Path


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=30)


def make_authority(folder: Path, name: str = "ca") -> Path:
    """An authority's certificate; its key lies beside it."""
    _openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    return folder / f"{name}.pem"


def make_certificate(folder: Path, name: str, *, host: str = "127.0.0.1", days: int = 2, authority: str = "ca") -> Path:
    """A PEM file with key and certificate of a host. `days` below 0: it has expired."""
    (folder / "extensions").write_text(f"subjectAltName={'IP' if host[0].isdigit() else 'DNS'}:{host}\n")
    _openssl(
        folder, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
    )  # fmt: skip
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key", "-CAcreateserial",
        "-days", str(days), "-extfile", "extensions", "-out", f"{name}.crt",
    )  # fmt: skip
    path = folder / f"{name}.pem"
    path.write_bytes((folder / f"{name}.key").read_bytes() + (folder / f"{name}.crt").read_bytes())
    return path


def server_context(certificate: Path, client_authority: Path | None = None) -> ssl.SSLContext:
    """How a server of tests speaks TLS; with an authority it wants a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    return context
