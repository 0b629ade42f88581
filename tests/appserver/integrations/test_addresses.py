"""SEC-16: which addresses a webhook may go to."""

from __future__ import annotations

import ipaddress

import pytest

from appserver.integrations.addresses import AddressRefused, AllowList, CheckedResolver, check_url, is_public

NOBODY = AllowList()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "100.127.255.255", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1",
        "198.51.100.7", "203.0.113.9", "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::",
        "2001:db8::1", "100::1", "fec0::1",
    ],
)  # fmt: skip
def test_private_addresses(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert "not a public address" in check_url(f"http://{host}/hook", NOBODY)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2a02:6b8::2:242", "64:ff9b::808:808", "::ffff:8.8.8.8"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.org/hook?x=1", ""),
        ("http://example.org:8080", ""),
        ("ftp://example.org", "http"),
        ("file:///etc/passwd", "http"),
        ("gopher://x", "http"),
        ("http://", "no host"),
        ("http://user:secret@example.org", "header"),
        ("http://example.org:99999", "not a URL"),
        ("http://[::1", "not a URL"),
        ("", "http"),
    ],
)
def test_urls(url: str, problem: str) -> None:
    found = check_url(url, NOBODY)
    assert problem in found if problem else found == ""


@pytest.mark.parametrize("host", ["localhost", "0x7f.1", "2130706433", "017700000001", "127.1"])
async def test_names_and_odd_numbers_that_mean_this_machine(host: str) -> None:
    """The check is on what the name resolves to."""
    with pytest.raises(OSError) as caught:
        await CheckedResolver(NOBODY).resolve(host, 80)
    if host == "localhost":
        assert isinstance(caught.value, AddressRefused)


async def test_administrator_allows_by_network_and_by_name() -> None:
    for entry in ("127.0.0.0/8", "localhost", "LOCALHOST"):
        results = await CheckedResolver(AllowList([entry])).resolve("localhost", 80)
        assert "127.0.0.1" in {result["host"] for result in results}
    assert check_url("http://10.1.2.3/", AllowList(["10.1.0.0/16"])) == ""
    assert check_url("http://10.2.2.3/", AllowList(["10.1.0.0/16"])) != ""
    for entry in ("", "10.0.0.0/99", "a/b"):
        with pytest.raises(ValueError, match="neither"):
            AllowList([entry])
