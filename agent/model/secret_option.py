"""Secrets behind options that only their program explains: `mysql -pX`, `curl -u u:x`, `vault login X`. PURE.

*Source:* the manual page of each program.
"""

import re
from collections.abc import Iterator

from msgspec import Struct

from agent.model.secret_value import LONG_OPTION, end_of_argument, end_of_word

Span = tuple[int, int]


class Program(Struct, frozen=True):
    """Where a program takes a secret.

    `options`: letters whose value, in the same word or the next, is one; `attached`: only in the same word. `flags`: letters
    without a value that may stand before them (`-sSu x`). `words`: how many words are skipped behind such a word, and how many
    are secrets then. `behind`: the options count only behind this word. `assigning`: behind such a word each `name=value` holds
    one. `prefixes`: words that begin so go on with one. `is_oracle`: a word `user/x@host` holds one. `is_launcher`: what follows
    the secret is another program's line.
    """

    options: bytes = b""
    attached: bytes = b""
    flags: bytes = b""
    words: tuple[tuple[bytes, tuple[int, int]], ...] = ()
    behind: bytes = b""
    assigning: tuple[bytes, ...] = ()
    prefixes: tuple[bytes, ...] = ()
    is_oracle: bool = False
    is_launcher: bool = False


_MYSQL = Program(attached=b"p", flags=b"ABCEGHLNVWXbfijnqrstvwT")
# Its command `password` has the new one behind it.
_MYSQL_ADMIN = Program(
    attached=_MYSQL.attached, flags=_MYSQL.flags, words=tuple((w, (0, 1)) for w in (b"password", b"old-password"))
)
_LOGIN = Program(options=b"p", behind=b"login")
_LDAP = Program(options=b"w", flags=b"xvnZIQ")
_SNMP = Program(options=b"cAX")
_MSSQL = Program(options=b"P")
_ARCHIVE = Program(attached=b"p", flags=b"h")
_REDIS = Program(options=b"a", words=((b"auth", (0, 2)),))
_MONGO = Program(options=b"p")
_VAULT = Program(
    words=tuple((word, (0, 1)) for word in (b"login", b"unseal", b"lookup", b"revoke", b"renew")),
    assigning=(b"write", b"put", b"patch"),
)
_SMB = Program(options=b"U", flags=b"NkL")
_BATCHES = (b"-b", b"-cb", b"-bc", b"-mb", b"-bm", b"-sb", b"-bs", b"-Bb", b"-bB", b"-bBc", b"-cbB", b"-cBb", b"-Bbc")
_NAMELESS = (b"-nb", b"-bn", b"-nbB", b"-nBb", b"-bnB", b"-Bbn", b"-nbm", b"-nbs")

_CURL = Program(
    options=b"uUEb",
    flags=b"#0123456aBfgGiIjJklLMnNOpqRsSvVZ",
    words=tuple((word, (0, 1)) for word in (b"--user", b"--proxy-user", b"--cert", b"--proxy-cert")),
)

PROGRAMS: dict[bytes, Program] = {
    **dict.fromkeys(
        (
            b"mysql mysqldump mysqlimport mysqlcheck mysqlshow mysqlslap mysqlbinlog mysqlpump mysqlsh "
            b"mysqlrepair mysqloptimize mysql_upgrade mariadb mariadb-dump mariadb-import mariadb-check "
            b"mariadb-show mariadb-binlog mariadb-backup mariabackup mycli xtrabackup mydumper"
        ).split(),
        _MYSQL,
    ),
    **dict.fromkeys((b"mysqladmin", b"mariadb-admin"), _MYSQL_ADMIN),
    b"sshpass": Program(options=b"p", flags=b"ve", is_launcher=True),
    b"curl": _CURL,
    **dict.fromkeys(b"http https httpie xh xhs".split(), Program(options=b"a", flags=b"fjvhbpdIS", words=((b"--auth", (0, 1)),))),
    **dict.fromkeys(b"redis-cli valkey-cli keydb-cli".split(), _REDIS),
    **dict.fromkeys(b"ldapsearch ldapadd ldapmodify ldapdelete ldapmodrdn ldapcompare ldapwhoami".split(), _LDAP),
    b"ldappasswd": Program(options=b"wsa", flags=b"xvnZ"),
    **dict.fromkeys(b"docker podman nerdctl buildah skopeo helm oras crane az oc cf regctl".split(), _LOGIN),
    **dict.fromkeys(
        (
            b"mongo mongosh mongodump mongorestore mongoexport mongoimport mongostat mongotop mongofiles cqlsh "
            b"rabbitmqadmin rdesktop useradd usermod ncftpput ncftpget ncftp beeline twine psexec psexec64"
        ).split(),
        _MONGO,
    ),
    **dict.fromkeys(
        b"sqlcmd bcp osql isql tsql freebcp ipmitool zip unzip zipinfo mosquitto_pub mosquitto_sub mosquitto_rr".split(), _MSSQL
    ),
    **dict.fromkeys(b"snmpget snmpwalk snmpset snmpgetnext snmpbulkget snmpbulkwalk snmptrap snmptable".split(), _SNMP),
    **dict.fromkeys(b"7z 7za 7zr 7zz rar unrar".split(), _ARCHIVE),
    b"ssh-keygen": Program(options=b"NP", flags=b"qpy"),
    b"htpasswd": Program(words=(*((word, (2, 1)) for word in _BATCHES), *((word, (1, 1)) for word in _NAMELESS))),
    b"rabbitmqctl": Program(words=tuple((word, (1, 1)) for word in (b"add_user", b"change_password", b"authenticate_user"))),
    # `mc alias set NAME URL ACCESSKEY SECRETKEY`, and as it was called before.
    b"mc": Program(words=((b"set", (3, 1)), (b"add", (3, 1)))),
    b"wpa_passphrase": Program(words=((b"wpa_passphrase", (1, 1)),)),
    **dict.fromkeys(b"smbclient rpcclient smbget smbcacls".split(), _SMB),
    b"lftp": Program(options=b"u"),
    b"etcdctl": Program(words=((b"--user", (0, 1)),)),
    b"openssl": Program(words=((b"-k", (0, 1)), (b"-K", (0, 1)), (b"-passin", (0, 1)), (b"-passout", (0, 1)))),
    **dict.fromkeys(b"vault bao".split(), _VAULT),
    **dict.fromkeys(b"sqlplus sqlcl expdp impdp rman sqlldr".split(), Program(is_oracle=True)),
    **dict.fromkeys(b"xfreerdp xfreerdp3 wfreerdp sdl-freerdp".split(), Program(prefixes=(b"/p:", b"/gp:"))),
    b"nmcli": Program(words=tuple((word, (0, 1)) for word in (b"password", b"wifi-sec.psk", b"802-11-wireless-security.psk"))),
}
# What must be there for any of them to be found, in lower case.
PROGRAM_SIGNS = (
    "mysql", "maria", "mycli", "xtrabackup", "mydumper", "sshpass", "curl", "http", "xh", "redis", "valkey", "keyd", "ldap",
    "login", "mongo", "cqlsh", "rabbitmq", "rdesktop", "useradd", "usermod", "ncftp", "sql", "bcp", "ipmi", "zip", "mosquitto",
    "snmp", "7z", "rar", "ssh-keygen", "htpasswd", "wpa_", "sm", "rpcclient", "lftp", "etcdctl", "openssl", "vault", "bao",
    "expdp", "impdp", "rman", "freerdp", "nmcli", "beeline", "twine", "psexec", "mc",
)  # fmt: skip

_WORD = re.compile(rb"""[^\s\0"'`()$]+""")
_ORACLE = re.compile(rb"(?:userid=|target=)?[\w$#]{1,128}/([^@/]{1,256})(?:@|\Z)")
_OPERATORS = frozenset((b"|", b"||", b"&&", b"&", b";"))
# Where openssl reads a password from; only `pass:` and a bare word hold it.
_PLACES = (b"env:", b"file:", b"fd:", b"stdin")


def option_secrets(data: bytes) -> Iterator[Span]:
    """The places of secrets that a known program takes by its own options and words, in order."""
    reader = _Reader(data)
    for found in _WORD.finditer(data):
        if found.start() >= reader.done:
            yield from reader.read(found.start(), found.end())


class _Reader:
    """Goes over the words of a command line once; remembers which program they belong to."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        # What is before this place is taken.
        self.done = 0
        self._program: Program | None = None
        self._words: dict[bytes, tuple[int, int]] = {}
        self._is_behind = self._is_assigning = False
        self._skipped = self._expected = 0

    def read(self, start: int, end: int) -> Iterator[Span]:
        """The secrets that this word is or announces."""
        word = self.data[start:end]
        name = word[word.rfind(b"/") + 1 :].lower().removesuffix(b".exe")
        if (program := PROGRAMS.get(name)) is not None and program is not self._program:
            self._enter(program)
            if name not in self._words:
                return
        if word in _OPERATORS:
            self._program = None
        if self._program is None:
            return
        span = self._secret(self._program, word, start, end)
        if span is not None and span[0] < span[1]:
            self.done = span[1]
            yield span
        if self.data[max(end, self.done) - 1 : max(end, self.done)] == b";" or (span is not None and self._program.is_launcher):
            self._program = None

    def _enter(self, program: Program) -> None:
        self._program, self._words = program, dict(program.words)
        self._is_behind = self._is_assigning = False
        self._skipped = self._expected = 0

    def _secret(self, program: Program, word: bytes, start: int, end: int) -> Span | None:
        key = word.partition(b"=")[0] if word.startswith(b"--") else word if word.startswith(b"-") else word.lower()
        if key in self._words:
            self._skipped, self._expected = self._words[key]
            if key != word and word.startswith(b"--"):
                self._expected -= 1
                return start + len(key) + 1, self._end(start + len(key) + 1)
            return self._behind(end) if key.startswith(b"-") and not self._skipped else None
        self._is_behind |= word == program.behind
        self._is_assigning |= word in program.assigning
        if word.startswith(b"-"):
            return self._of_option(program, word, start, end) if self._is_behind or not program.behind else None
        if self._expected:
            return self._next(start)
        for prefix in program.prefixes:
            if word.startswith(prefix):
                return start + len(prefix), self._end(start + len(prefix))
        if self._is_assigning and b"=" in word:
            at = start + word.index(b"=") + 1
            return at, self._end(at)
        if program.is_oracle and (found := _ORACLE.match(word)) is not None:
            return start + found.start(1), start + found.end(1)
        return None

    def _next(self, start: int) -> Span | None:
        if self._skipped:
            self._skipped -= 1
            return None
        self._expected -= 1
        at = start - (self.data[start - 1 : start] in (b"'", b'"'))
        return at, self._end(at)

    def _of_option(self, program: Program, word: bytes, start: int, end: int) -> Span | None:
        rest = word[1:].lstrip(program.flags)
        letter = rest[:1]
        if word.startswith(b"--") or not letter or letter not in program.options + program.attached:
            return None
        at = end - len(rest) + 1
        is_attached = self.data[at : at + 1] not in (b"", b" ", b"\t", b"\n", b"\r", b"\0")
        if is_attached:
            return at, self._end(at, is_argument=self.data[start - 1 : start] in (b"", b"\0"))
        return self._behind(end) if letter in program.options else None

    def _behind(self, end: int) -> Span | None:
        """The word, or the whole argument, behind an option."""
        self._expected = 0
        at = end + len(self.data[end : end + 16]) - len(self.data[end : end + 16].lstrip(b"\0 \t\r\n"))
        if self.data.startswith(_PLACES, at) or LONG_OPTION.match(self.data, at):
            return None
        if self.data[end : end + 1] == b"\0":
            return end + 1, end_of_argument(self.data, end + 1)
        return at, end_of_word(self.data, at)

    def _end(self, at: int, *, is_argument: bool = False) -> int:
        # In an argument of its own a value may hold blanks; inside a script it ends with the word.
        return (
            end_of_argument(self.data, at) if is_argument or self.data[at - 1 : at] in (b"", b"\0") else end_of_word(self.data, at)
        )
