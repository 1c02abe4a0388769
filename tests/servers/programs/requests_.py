"""requests, which is urllib3, through TLS: a pool, bodies of any size, a timeout."""

import requests
import urllib3
from crowd import CROWD, done, together, where

session = requests.Session()
session.verify = where["ca"]
session.trust_env = False
session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=CROWD))


def post(i, _):
    return session.post(f"{where['url']}/{i}", data=f"body {i}", timeout=30).text.split(" ", 2)


answers = together(post)
assert [(n, body) for n, _, body in answers] == [(f"{i}", f"body {i}") for i in range(CROWD)]
assert max(int(most) for _, most, _ in answers) > CROWD / 2, "the server had fewer at once"

large = "x" * 900_000
assert session.post(f"{where['url']}/0", data=large, timeout=30).text.split(" ", 2)[2] == large
try:
    session.get(f"{where['url']}/0", timeout=0.05)
except requests.Timeout:
    pass
else:
    raise AssertionError
session.close()

with urllib3.PoolManager(ca_certs=where["ca"], maxsize=5, block=True) as pool:
    answers = together(
        lambda i, _: pool.request("POST", f"{where['url']}/{i}", body=b"%d" % i).data
    )
assert [a.split()[0] for a in answers] == [b"%d" % i for i in range(CROWD)]
done()
