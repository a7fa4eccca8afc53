#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# linux.sh DIRECTORY [PACKAGE] - fetch a Debian kernel and its modules for guests.
#
# PACKAGE is the one that depends on the newest, by default of the cloud kernel.
#
# The package is unpacked, not installed: this machine's own kernel is left
# alone, and no privilege is needed. DIRECTORY takes its name when it is
# complete.
set -eu

target=$1
meta=${2:-linux-image-cloud-amd64}
newest() {
	apt-cache depends "$meta" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1
}
package=$(newest)
if [ -z "$package" ] && [ "$(id -u)" -eq 0 ]; then
	apt-get -q update
	package=$(newest)
fi
[ -n "$package" ] || {
	echo "$meta: apt knows no such package: apt-get update" >&2
	exit 1
}
part=$target.part
rm -rf "$part" "$target"
mkdir -p "$part/unpacked"
(cd "$part" && apt-get -q download "$package")
dpkg -x "$part"/"$package"_*.deb "$part/unpacked"
mkdir -p "$part/lib"
mv "$part"/unpacked/boot/vmlinuz-* "$part"
mv "$part"/unpacked/lib/modules "$part/lib" 2>/dev/null ||
	mv "$part"/unpacked/usr/lib/modules "$part/lib"
rm -rf "$part/unpacked" "$part"/*.deb
# The package leaves this to the machine that it is installed on.
for release in "$part"/lib/modules/*; do
	PATH=$PATH:/sbin:/usr/sbin depmod -b "$part" "${release##*/}"
done
mv "$part" "$target"
