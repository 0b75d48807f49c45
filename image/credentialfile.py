"""Writing credentials: into a file that podman or docker reads too, or to the helper that it names.

Source: containers-auth.json(5). All that the file holds besides is kept. It is replaced as a whole under
the lock of its folder, with mode 0600: SIGKILL leaves the old file or the new one, and perhaps a temporary
of the same mode beside it, which the next writer removes. A helper has the secret before an older entry of
the file goes: SIGKILL between leaves both, until the next login.
"""

import base64
import json
import os
from typing import Any

from pyctr.image import credentialhelpers
from pyctr.image.credentials import Credentials, key_of, server_of, usual_files
from pyctr.rootless.errors import BrokenRecord, PyctrError
from pyctr.rootless.values import Value
from pyctr.storage import records

_HINT = "Name a file with --authfile, or set XDG_RUNTIME_DIR."


class CredentialFile(Value):
    """A file with credentials; in a `compatible` one the keys are spelled as docker wants them."""

    path: str
    compatible: bool = False

    def spelled(self, key: str) -> str:
        """How a key is written in this file."""
        return server_of(key) if self.compatible else key


def chosen(auth_file: str = "", compat_auth_file: str = "") -> CredentialFile:
    """The file that is written: a named one, that of REGISTRY_AUTH_FILE, else podman's."""
    if auth_file and compat_auth_file:
        raise PyctrError("--authfile and --compat-auth-file cannot be used together")
    if compat_auth_file:
        return CredentialFile(os.path.realpath(compat_auth_file), True)
    named = auth_file or os.environ.get("REGISTRY_AUTH_FILE")
    return CredentialFile(os.path.realpath(named or usual_files()[0]))


def save(file: CredentialFile, key: str, credentials: Credentials) -> str:
    """Keeps the credentials for a registry or a name space in it; where: the path, or the helper's name."""
    with _locked(file):
        document = _read(file)
        helper = _helper(document, key)
        auths = _object(document, "auths", file)
        if helper:
            credentialhelpers.store(helper, server_of(key), credentials)
            if _forget(auths, key):  # else the older entry would be taken before it
                _write(file, {**document, "auths": auths})
            return f"docker-credential-{helper}"
        _forget(auths, key)
        auths[file.spelled(key)] = _entry(credentials)
        _write(file, {**document, "auths": auths})
        return file.path


def remove(file: CredentialFile, key: str) -> bool:
    """Takes the credentials of one registry away; False when there were none."""
    if not os.path.exists(file.path):
        return False
    with _locked(file):
        document = _read(file)
        helper = _helper(document, key)
        erased = bool(helper) and credentialhelpers.erase(helper, server_of(key))
        auths = _object(document, "auths", file)
        if _forget(auths, key):
            _write(file, {**document, "auths": auths})
            return True
        return erased


def remove_all(file: CredentialFile) -> bool:
    """Takes away all that the file and its helpers keep; False when there is no file."""
    if not os.path.exists(file.path):
        return False
    with _locked(file):
        document = _read(file)
        for server, helper in _object(document, "credHelpers", file).items():
            credentialhelpers.erase(str(helper), server_of(server))
        if type(store := document.get("credsStore")) is str and store:
            for server in credentialhelpers.servers(store):
                credentialhelpers.erase(store, server)
        _write(file, {**document, "auths": {}})
        return True


def _helper(document: dict[str, Any], key: str) -> str:
    """The helper that keeps the credentials for a key; empty when the file itself does.

    The credsStore is asked for registries only, as not every helper takes other names: a name space is for
    the file.
    """
    helpers = document.get("credHelpers")
    if type(helpers) is dict:
        for name, helper in helpers.items():
            if key_of(name) == key:
                return str(helper)
    store = document.get("credsStore")
    return store if type(store) is str and "/" not in key else ""


def _forget(auths: dict[str, Any], key: str) -> bool:
    """Drops an entry in all its spellings, of which a reader would take the first."""
    same = [name for name in auths if key_of(name) == key or name == server_of(key)]
    for name in same:
        del auths[name]
    return bool(same)


def _entry(credentials: Credentials) -> dict[str, str]:
    pair = f"{credentials.user}:{credentials.password}".encode()
    return {"auth": base64.b64encode(pair).decode()}


def _locked(file: CredentialFile) -> records.Lock:
    """The lock of the folder, which is made when it is missing."""
    folder = os.path.dirname(file.path)
    try:
        records.make_folder(folder)
        return records.lock(folder)
    except OSError as error:
        raise PyctrError(f"{folder} cannot be used for credentials: {error.strerror}", _HINT) from None


def _read(file: CredentialFile) -> dict[str, Any]:
    try:
        document = records.read_json(file.path)
    except FileNotFoundError:
        return {}
    except BrokenRecord as error:
        raise PyctrError(error.message, "Repair or remove the file; it was not changed.") from None
    if type(document) is not dict:
        raise PyctrError(f"{file.path} is not a JSON object", "Repair or remove the file.")
    return document


def _object(document: dict[str, Any], name: str, file: CredentialFile) -> dict[str, Any]:
    value = document.get(name) or {}
    if type(value) is not dict:
        raise PyctrError(f"{file.path}: {name!r} is not an object", "Repair or remove the file.")
    return dict(value)


def _write(file: CredentialFile, document: dict[str, Any]) -> None:
    try:
        _drop_halves(file)
        records.write_text(file.path, json.dumps(document, indent="\t") + "\n", durable=True)
    except OSError as error:
        raise PyctrError(f"{file.path} cannot be written: {error.strerror}", _HINT) from None


def _drop_halves(file: CredentialFile) -> None:
    """Removes what killed writers left: nobody else is at work under the lock."""
    folder, name = os.path.split(file.path)
    for each in os.listdir(folder):
        start, _, number = each.rpartition(".")
        if start == f".{name}" and number.isdecimal():
            os.unlink(f"{folder}/{each}")
