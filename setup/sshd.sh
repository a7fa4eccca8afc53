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
# With it all that installing it would bring: a missing library of sshd-session
# ends each connection without a word.
needed=$(apt-get -s --no-install-recommends install openssh-server |
	sed -n 's/^Inst \([^ ]*\) .*/\1/p')
# shellcheck disable=SC2086 # names of packages
(cd "$part" && apt-get -q download $(printf '%s\n' openssh-server $needed | sort -u))
for package in "$part"/*.deb; do
	dpkg -x "$package" "$part"
done
rm "$part"/*.deb
mv "$part" "$target"
