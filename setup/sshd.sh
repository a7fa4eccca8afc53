#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# sshd.sh DIRECTORY - fetch Debian's ssh server, for tests of the ssh host.
#
# Unpacked, not installed: a package that is installed starts the server on
# this machine's network. DIRECTORY takes its name when it is complete.
set -eu

target=$1
part=$target.part
rm -rf "$part" "$target"
mkdir -p "$part"
(cd "$part" && apt-get -q download openssh-server libwrap0)
for package in "$part"/*.deb; do
	dpkg -x "$package" "$part"
done
rm "$part"/*.deb
mv "$part" "$target"
