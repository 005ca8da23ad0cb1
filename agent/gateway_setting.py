"""The settings of the page, beside those of the gateway in `agent.config`. PURE."""

from agent.setting import Address, Switch, Text

PAGE = Switch(
    "gateway.page", True, "serve this node's page at / and its documents under /v1; read from the spool only while somebody looks"
)
# In a file, because everybody on a host sees environments and command lines of services that are not careful.
TOKEN_FILE = Text(
    "gateway.token_file", "", "file with the token that the page asks for; empty: none, and then it is for this host alone"
)
TLS_CERT_FILE = Text(
    "gateway.tls_cert_file", "", "PEM file of the certificate with which the gateway serves everything; empty: without TLS"
)
TLS_KEY_FILE = Text("gateway.tls_key_file", "", "PEM file of its key; empty: it is in the certificate's file")
TRUSTED_PROXY = Address(
    "gateway.trusted_proxy", "", "address of a reverse proxy that authenticates people: what it asks for is served"
)

PAGE_SETTINGS = (PAGE, TOKEN_FILE, TLS_CERT_FILE, TLS_KEY_FILE, TRUSTED_PROXY)
