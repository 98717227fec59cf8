"""What Python's requests and huggingface_hub make of environment variables: tests/resources/hub_variables.json.

    python tests/peers/make_hub_variables.py > tests/resources/hub_variables.json

Made with requests 2.34.2, huggingface_hub 0.36.2 and datasets, as sae-lens brings them.
"""

import json
import os
import subprocess
import sys

HUB, PLAIN = "https://huggingface.co/gpt2", "http://mirror.example:8080/x"
P = "http://proxy.example:3128"

PROXIES = [  # (variables, addresses)
    ({}, [HUB, PLAIN]),
    ({"https_proxy": P}, [HUB, PLAIN]),
    ({"HTTPS_PROXY": P}, [HUB, PLAIN]),
    ({"http_proxy": P}, [HUB, PLAIN]),
    ({"HTTP_PROXY": P}, [HUB, PLAIN]),
    ({"HTTP_PROXY": P, "REQUEST_METHOD": "GET"}, [PLAIN]),
    ({"http_proxy": P, "REQUEST_METHOD": "GET"}, [PLAIN]),
    ({"HTTPS_PROXY": P, "https_proxy": "http://lower.example:1"}, [HUB]),
    ({"HTTPS_PROXY": P, "https_proxy": ""}, [HUB]),
    ({"HTTPS_PROXY": ""}, [HUB]),
    ({"Https_Proxy": P}, [HUB]),
    ({"HTTPS_proxy": P}, [HUB]),
    ({"ALL_PROXY": P}, [HUB, PLAIN]),
    ({"all_proxy": P, "ALL_PROXY": "http://upper.example:1"}, [HUB]),
    ({"ALL_PROXY": "socks5://socks.example:1080", "HTTPS_PROXY": P}, [HUB, PLAIN]),
    ({"ALL_PROXY": "socks5h://socks.example", "NO_PROXY": "huggingface.co"}, [HUB, PLAIN]),
    ({"ALL_PROXY": "socks4://socks.example:9"}, [HUB]),
    ({"ALL_PROXY": "nonsense://x", "https_proxy": P}, [HUB]),
    ({"ALL_PROXY": "nonsense://x"}, [HUB]),
    ({"https_proxy": "ftp://proxy.example:21"}, [HUB]),
    ({"all_proxy": P, "all://mirror.example_proxy": "http://other.example:1"}, [HUB, PLAIN]),
    ({"https_proxy": P, "https://huggingface.co_proxy": "http://other.example:1"}, [HUB, "https://cdn.example/x"]),
    # forms of an address
    ({"https_proxy": "proxy.example:3128"}, [HUB]),
    ({"https_proxy": "proxy.example"}, [HUB]),
    ({"https_proxy": "proxy"}, [HUB]),
    ({"https_proxy": "//proxy.example:3128"}, [HUB]),
    ({"https_proxy": "10.0.0.1:3128"}, [HUB]),
    ({"https_proxy": "my_proxy:3128"}, [HUB]),
    ({"https_proxy": "http://my_proxy:3128"}, [HUB]),
    ({"https_proxy": "http://my_proxy.internal_net"}, [HUB]),
    ({"https_proxy": "HTTP://Proxy.Example:80/"}, [HUB]),
    ({"https_proxy": "https://proxy.example"}, [HUB]),
    ({"https_proxy": "http://proxy.example:3128/path?query#part"}, [HUB]),
    ({"https_proxy": "http://[::1]:3128"}, [HUB]),
    ({"https_proxy": "http://proxy.example:99999"}, [HUB]),
    ({"https_proxy": "http://proxy.example:x"}, [HUB]),
    ({"https_proxy": "http:///x"}, [HUB]),
    ({"https_proxy": "http://"}, [HUB]),
    ({"https_proxy": " "}, [HUB]),
    ({"https_proxy": "http://pro xy:1"}, [HUB]),
    # users and passwords
    ({"https_proxy": "http://user:secret@proxy.example:3128"}, [HUB]),
    ({"http_proxy": "http://user:secret@proxy.example:3128"}, [PLAIN]),
    ({"https_proxy": "http://user:p%40ss%3Aw%2Frd@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://dom%5Cuser:a+b%20c@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://user:p@ss@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://user:a:b@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://us%C3%A9r:secret@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://user:p%zz@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://user:p%@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://user:@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://user@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "user.name:secret@proxy.example:3128"}, [HUB]),
    ({"https_proxy": "http://user:pa/ss@proxy.example:3128"}, [HUB]),
]
NO_PROXY = [  # (no_proxy, addresses)
    ("*", [HUB]),
    ("*,x", [HUB]),
    ("huggingface.co", [HUB, "https://cdn.huggingface.co/x", "https://nothuggingface.co/x"]),
    (".huggingface.co", [HUB, "https://cdn.huggingface.co/x"]),
    ("...co", [HUB]),
    ("*.huggingface.co", [HUB, "https://cdn.huggingface.co/x"]),
    ("HuggingFace.CO", [HUB]),
    ("a, huggingface.co ,b", [HUB]),
    ("a huggingface.co", [HUB]),
    (",,", [HUB]),
    (
        "mirror.example:8080",
        [PLAIN, "http://mirror.example:81/x", "http://mirror.example/x", "http://a.mirror.example:8080/x"],
    ),
    ("mirror.example:80", ["http://mirror.example/x"]),
    ("my_host", ["http://my_host:8080/x", "http://a.my_host/x"]),
    ("127.0.0.1", ["http://127.0.0.1:8080/x", "http://127.0.0.2/x"]),
    ("127.0.0.1:8080", ["http://127.0.0.1:8080/x"]),
    ("127.0.0.0/8", ["http://127.9.9.9/x", "http://128.0.0.1/x", "http://localhost/x"]),
    (
        "10.1.2.3/16,192.168.0.0/24",
        ["http://10.1.255.1/x", "http://10.2.0.1/x", "http://192.168.0.77/x", "http://192.168.1.1/x"],
    ),
    ("10.1.2.3/32", ["http://10.1.2.3/x", "http://10.1.2.4/x"]),
    ("10.1.2.3/0,10.1.2.3/33,10.1.2.3/x,10.1.2.3/8/8", ["http://10.1.2.3/x"]),
    ("10.256.0.0/8,host/8,0x0a.0.0.0/8", ["http://10.1.2.3/x"]),
    ("010.0.0.0/8", ["http://10.1.2.3/x", "http://8.1.2.3/x"]),
    ("10.1/16", ["http://10.0.2.3/x", "http://10.1.2.3/x"]),
    ("2.3", ["http://10.1.2.3/x"]),
    ("::1", ["http://[::1]:8080/x"]),
    ("localhost", ["http://localhost:8080/x", "http://my.localhost/x"]),
]
BOTH = [  # which of the two spellings
    ({"http_proxy": P, "no_proxy": "a.example", "NO_PROXY": "mirror.example"}, [PLAIN, "http://a.example/x"]),
    ({"http_proxy": P, "no_proxy": "", "NO_PROXY": "mirror.example"}, [PLAIN]),
    ({"http_proxy": P, "no_proxy": "", "NO_PROXY": "*"}, [PLAIN]),
    ({"http_proxy": P, "No_Proxy": "mirror.example"}, [PLAIN]),
]


def proxy(variables, address):
    from requests.adapters import HTTPAdapter
    from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy
    from urllib3.util import parse_url

    os.environ.clear()
    os.environ.update(variables)
    found = select_proxy(address, get_environ_proxies(address))
    if not found:
        return None
    try:
        whole = prepend_scheme_if_needed(found, "http")
        parts = parse_url(whole)
        if not parts.host:
            return "error"
        adapter = HTTPAdapter()
        if not whole.startswith("socks"):  # those need another package
            adapter.proxy_manager_for(whole)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 1080)
        return {
            "address": f"{parts.scheme}://{parts.host}:{port}",
            "authorization": adapter.proxy_headers(whole).get("Proxy-Authorization"),
        }
    except Exception:
        return "error"


HOME = {"HOME": "/home/somebody"}
VARIABLES = [
    HOME,
    {"HOME": "/home/somebody/"},
    {"HOME": "/"},
    {"HOME": "/", "HF_HUB_CACHE": "~"},
    HOME | {"XDG_CACHE_HOME": "/x/cache"},
    HOME | {"XDG_CACHE_HOME": "~/x"},
    HOME | {"HF_HOME": "~/hf"},
    HOME | {"HF_HOME": "$HOME/hf"},
    HOME | {"HF_HOME": "${HOME}/hf", "XDG_CACHE_HOME": "/x"},
    HOME | {"HF_HOME": "$DISK/$NOTHING/${DISK}/${}/$", "DISK": "/disk"},
    HOME | {"HF_HOME": "/a/~/$DISK_1", "DISK": "/disk"},
    HOME | {"HF_HOME": "$TWICE", "TWICE": "/a/$HOME"},
    HOME | {"HF_HOME": "$TILDE/x", "TILDE": "~"},
    HOME | {"HF_HOME": "~root/hf"},
    HOME | {"HF_HOME": "~no-such-user/hf"},
    HOME | {"HF_HUB_CACHE": "~/hub", "HF_HOME": "/elsewhere"},
    HOME | {"HF_HUB_CACHE": "$HOME/hub", "HUGGINGFACE_HUB_CACHE": "/old"},
    HOME | {"HUGGINGFACE_HUB_CACHE": "~/old"},
    HOME | {"HUGGINGFACE_HUB_CACHE": "${HOME}/old", "HF_HOME": "/elsewhere"},
    HOME | {"HF_HUB_CACHE": "~", "HF_HOME": "relative"},
    HOME | {"HF_HOME": "relative"},
    HOME | {"HF_TOKEN": "hf_a"},
    HOME | {"HF_TOKEN": " hf_a\r\n"},
    HOME | {"HF_TOKEN": "hf_a", "HUGGING_FACE_HUB_TOKEN": "hf_b"},
    HOME | {"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "hf_b"},
    HOME | {"HUGGING_FACE_HUB_TOKEN": "hf_b"},
    HOME | {"HF_TOKEN": "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"},
    HOME | {"HF_TOKEN": "hf_a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0"},
    HOME | {"HF_HUB_OFFLINE": "1"},
    HOME | {"HF_HUB_OFFLINE": "yes"},
    HOME | {"HF_HUB_OFFLINE": "True"},
    HOME | {"HF_HUB_OFFLINE": "on"},
    HOME | {"HF_HUB_OFFLINE": "2"},
    HOME | {"HF_HUB_OFFLINE": " 1"},
    HOME | {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "1"},
    HOME | {"HF_HUB_OFFLINE": "", "TRANSFORMERS_OFFLINE": "1"},
    HOME | {"TRANSFORMERS_OFFLINE": "yes"},
    HOME | {"HF_DATASETS_OFFLINE": "1"},
    HOME | {"HF_DATASETS_OFFLINE": "0"},
    HOME | {"HF_HUB_ETAG_TIMEOUT": "30"},
    HOME | {"HF_HUB_DOWNLOAD_TIMEOUT": " 7 "},
    HOME | {"HF_HUB_ETAG_TIMEOUT": "0", "HF_HUB_DOWNLOAD_TIMEOUT": "007"},
    HOME | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"},
    HOME | {"HF_HUB_DISABLE_PROGRESS_BARS": "0"},
    HOME | {"HF_ENDPOINT": "https://mirror.example/hub//"},
]
READ = """
import json
from huggingface_hub import constants, get_token
from huggingface_hub.utils._headers import get_token_to_send
from datasets import config
print(json.dumps({
    "cache": constants.HF_HUB_CACHE,
    "token": get_token_to_send(None),
    "offline": constants.HF_HUB_OFFLINE,
    "datasets_offline": config.HF_HUB_OFFLINE,
    "etag_timeout": constants.HF_HUB_ETAG_TIMEOUT,
    "download_timeout": constants.HF_HUB_DOWNLOAD_TIMEOUT,
    "endpoint": constants.ENDPOINT,
    "silent": bool(constants.HF_HUB_DISABLE_PROGRESS_BARS),
}))
"""


def read(variables):
    done = subprocess.run([sys.executable, "-c", READ], env=variables, capture_output=True, text=True, check=True)
    is_ = json.loads(done.stdout)
    # Where the user root's home is differs from system to system: the test looks there too.
    if "~root" in variables.get("HF_HOME", ""):
        is_["cache"] = is_["cache"].replace(os.path.expanduser("~root"), "ROOTS-HOME")
    return is_


def main():
    variables = [{"environment": each, "is": read(each)} for each in VARIABLES]
    cases = (
        PROXIES
        + [({"http_proxy": P, "https_proxy": P, "NO_PROXY": value}, addresses) for value, addresses in NO_PROXY]
        + BOTH
    )
    proxies = [
        {"environment": each, "address": address, "is": proxy(each, address)}
        for each, addresses in cases
        for address in addresses
    ]
    row = lambda each: json.dumps(each, separators=(",", ":"))
    print(
        '{"proxies":[\n'
        + ",\n".join(map(row, proxies))
        + '\n],\n"variables":[\n'
        + ",\n".join(map(row, variables))
        + "\n]}"
    )


main()
