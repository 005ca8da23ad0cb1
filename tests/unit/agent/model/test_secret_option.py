"""Secrets behind the options of known programs."""

import pytest

from agent.model.secret import masked
from agent.model.secret_option import PROGRAM_SIGNS, PROGRAMS

S = "hunter2"
CASES = [
    (f"mysql -p{S} shop", "mysql -p*** shop"),
    (f"mysqldump -uroot -p{S} --all", "mysqldump -uroot -p*** --all"),
    (f"mysql -Nsp{S}", "mysql -Nsp***"),
    (f"/usr/bin/mariadb-dump -p{S}", "/usr/bin/mariadb-dump -p***"),
    (f"sshpass -p {S} ssh -p 22 h", "sshpass -p *** ssh -p 22 h"),
    (f"sshpass -vp{S} ssh h", "sshpass -vp*** ssh h"),
    (f"curl -u u:{S} h", "curl -u *** h"),
    (f"curl -uu:{S} h", "curl -u*** h"),
    (f"curl -sSfLu u:{S} h", "curl -sSfLu *** h"),
    (f"curl --user u:{S} h", "curl --user *** h"),
    (f"curl --user=u:{S} h", "curl --user=*** h"),
    (f"curl -U u:{S} --proxy-user u:{S}", "curl -U *** --proxy-user ***"),
    (f"http -a u:{S} h", "http -a *** h"),
    (f"redis-cli -h h -a {S} ping", "redis-cli -h h -a *** ping"),
    (f"redis-cli AUTH {S}", "redis-cli AUTH ***"),
    (f"redis-cli auth me {S}", "redis-cli auth *** ***"),
    (f"redis-server --requirepass {S}", "redis-server --requirepass ***"),
    (f"ldapsearch -x -w {S} -b dc=x", "ldapsearch -x -w *** -b dc=x"),
    (f"docker login -u me -p {S} h", "docker login -u me -p *** h"),
    (f"mongosh -u me -p {S} h", "mongosh -u me -p *** h"),
    (f"sqlcmd -S h -P {S}", "sqlcmd -S h -P ***"),
    (f"ipmitool -P {S} sdr", "ipmitool -P *** sdr"),
    (f"snmpget -c {S} h", "snmpget -c *** h"),
    (f"zip -P {S} x.zip y", "zip -P *** x.zip y"),
    (f"7z a -p{S} x", "7z a -p*** x"),
    (f"rar a -hp{S} x", "rar a -hp*** x"),
    (f"ssh-keygen -N {S} -f x", "ssh-keygen -N *** -f x"),
    (f"mysqladmin -u root -pold password {S}", "mysqladmin -u root -p*** password ***"),
    (f"mc alias set play https://h KEY {S}", "mc alias set play https://h KEY ***"),
    (f"psexec \\\\h -u me -p {S} cmd", "psexec \\\\h -u me -p *** cmd"),
    (f"beeline -n me -p {S}", "beeline -n me -p ***"),
    (f"twine upload -u me -p {S} dist", "twine upload -u me -p *** dist"),
    (f"htpasswd -b file me {S}", "htpasswd -b file me ***"),
    (f"htpasswd -nb me {S}", "htpasswd -nb me ***"),
    (f"rabbitmqctl add_user me {S}", "rabbitmqctl add_user me ***"),
    (f"wpa_passphrase home {S}", "wpa_passphrase home ***"),
    (f"smbclient -U me%{S} //h/x", "smbclient -U *** //h/x"),
    (f"lftp -u me,{S} h", "lftp -u *** h"),
    (f"etcdctl --user root:{S} get", "etcdctl --user *** get"),
    (f"openssl enc -k {S} -in x", "openssl enc -k *** -in x"),
    (f"openssl rsa -passin pass:{S} -in x", "openssl rsa -passin *** -in x"),
    (f"vault login {S}", "vault login ***"),
    (f"vault login -no-print {S}", "vault login -no-print ***"),
    (f"vault operator unseal {S}", "vault operator unseal ***"),
    (f"vault kv put secret/x a={S} b={S}", "vault kv put secret/x a=*** b=***"),
    (f"sqlplus scott/{S}@db", "sqlplus scott/***@db"),
    (f"expdp userid=scott/{S} x", "expdp userid=scott/*** x"),
    (f"xfreerdp /u:me /p:{S} /v:h", "xfreerdp /u:me /p:*** /v:h"),
    (f"nmcli device wifi connect home password {S}", "nmcli device wifi connect home password ***"),
    (f"sudo -u db docker exec db mysql -p{S}", "sudo -u db docker exec db mysql -p***"),
]


@pytest.mark.parametrize("parted", ["\0", " "])
@pytest.mark.parametrize(("line", "expected"), CASES)
def test_the_secret_of_a_program_is_masked(line: str, expected: str, parted: str) -> None:
    """As arguments, and as a script or a title."""
    assert masked(line.replace(" ", parted).encode()).decode() == expected.replace(" ", parted)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"sshpass -p '{S} x' ssh h", "sshpass -p *** ssh h"),
        (f"mysql -p'{S} x' shop", "mysql -p*** shop"),
        (f"cd /x && mysql -p{S} && cp -p a b", "cd /x && mysql -p*** && cp -p a b"),
        (f"curl -u u:{S}; cp -u a b", "curl -u *** cp -u a b"),
        (f"vault login '{S} x'", "vault login ***"),
        ("docker login h; ssh -p 22 x", "docker login h; ssh -p 22 x"),
        (f"echo x | redis-cli -a {S} | sort -a", "echo x | redis-cli -a *** | sort -a"),
    ],
)
def test_in_a_script_a_program_ends_where_the_next_begins(script: str, expected: str) -> None:
    """Quoted values are whole; the next command's options are its own."""
    assert masked(f"sh\0-c\0{script}".encode()).decode() == f"sh\0-c\0{expected}"


def test_an_argument_with_blanks_is_one_value() -> None:
    """Where the kernel parts the arguments, blanks are part of the secret."""
    assert masked(f"sshpass\0-p\0{S} {S}\0ssh".encode()) == b"sshpass\0-p\0***\0ssh"
    assert masked(f"mysql\0-p{S} {S}\0x".encode()) == b"mysql\0-p***\0x"


@pytest.mark.parametrize(
    "line",
    [
        "mysql -P 3306 -p shop",
        "mysql -u root -p",
        "docker run -p 80:80 x",
        "docker run --user 1000:1000 x",
        "ssh -p 22 h",
        "cp -p a b",
        "mongodump -p --db x",
        "openssl rsa -passin env:PASS -in x",
        "sqlplus / as sysdba",
        "sqlplus @x.sql",
        "vault status",
        "tar -u x -a y",
        "gcc -p x -P",
        "redis-cli -p 6379 ping",
        "curl -o x http://h/",
    ],
)
def test_the_same_letters_elsewhere_stay(line: str) -> None:
    """A port, a file, a switch."""
    assert masked(line.replace(" ", "\0").encode()).decode() == line.replace(" ", "\0")


def test_every_program_has_a_sign() -> None:
    """A program without one would never be looked for."""
    for name in PROGRAMS:
        assert any(sign in name.decode() for sign in PROGRAM_SIGNS) or PROGRAMS[name].behind.decode() in PROGRAM_SIGNS, name
