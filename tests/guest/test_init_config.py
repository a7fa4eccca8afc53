# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.guest.init_config: its token cannot be guessed, and nothing else makes a report."""

import gzip

from lkltest.guest.init_config import GuestReport, InitConfig, read_report


def test_orders_hold_any_word() -> None:
    config = InitConfig(
        ["/bin/boot", "a b", "", "$x;'\"\n"],
        "/dev/ttyS0",
        {"NAME": "v w"},
        modules=["/modules/a.ko"],
        devices=["/dev/vda"],
        token="T",  # noqa: S106
    )
    text = gzip.decompress(config.archive())
    strings = (
        b"token T\0module /modules/a.ko\0wait /dev/vda\0status /dev/ttyS0\0env NAME=v w\0"
        b"arg /bin/boot\0arg a b\0arg \0arg $x;'\"\n\0"
    )
    assert strings in text


def test_each_run_has_its_own_token() -> None:
    assert InitConfig([], "").token != InitConfig([], "").token
    assert len(InitConfig([], "").token) >= 32


def test_a_report_is_read() -> None:
    assert read_report(b"T started 72\nT exited 3\n", "T") == GuestReport(True, 72, 3)
    assert read_report(b"T started 72\r\nT signalled 11\r\n", "T").signal == 11
    assert read_report(b"T warning module x\nT failed exec: no\n", "T") == GuestReport(
        failure="exec: no", warnings=("module x",)
    )


def test_what_others_write_is_no_report() -> None:
    text = b"exited 0\nX exited 0\nTT exited 0\n T exited 0 0\nT exited x\n\xff\xfe\n"
    assert not read_report(text, "T").ended


def test_the_first_end_counts() -> None:
    assert read_report(b"T exited 3\nT exited 0\n", "T").status == 3
