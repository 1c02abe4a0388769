"""httpx, through TLS: fifty requests on one client."""

import ssl

import httpx
from crowd import CROWD, done, together, where

context = ssl.create_default_context(cafile=where["ca"])
limits = httpx.Limits(max_connections=CROWD, max_keepalive_connections=CROWD)
with httpx.Client(verify=context, limits=limits, timeout=30, trust_env=False) as client:

    def post(i, _):
        return client.post(f"{where['url']}/{i}", content=f"body {i}").text.split(" ", 2)

    for _ in range(2):  # the second time on connections that are there
        answers = together(post)
        assert [(n, body) for n, _, body in answers] == [
            (f"{i}", f"body {i}") for i in range(CROWD)
        ]
        assert max(int(most) for _, most, _ in answers) > CROWD / 2, "the server had fewer at once"
    try:
        client.get(f"{where['url']}/0", timeout=0.05)
    except httpx.TimeoutException:
        pass
    else:
        raise AssertionError
done()
