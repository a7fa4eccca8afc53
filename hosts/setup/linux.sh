#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# linux.sh DIRECTORY [PACKAGE [ARCHITECTURE]] - fetch a Debian kernel and its
# modules for guests.
#
# PACKAGE is the one that depends on the newest, by default of the cloud kernel;
# ARCHITECTURE is Debian's word for the guest's, by default this machine's.
#
# The package is unpacked, not installed: this machine's own kernel is left
# alone, and no privilege is needed. Another architecture's is found with lists
# of its own: this machine's apt does not hear of it. DIRECTORY takes its name
# when it is complete.
set -eu

target=$1
here=$(dpkg --print-architecture)
architecture=${3:-$here}
meta=${2:-linux-image-cloud-$architecture}
part=$target.part
rm -rf "$part" "$target"
mkdir -p "$part/unpacked"
if [ "$architecture" != "$here" ]; then
	lists=$(cd "$part" && pwd)/apt
	mkdir -p "$lists/state/lists/partial" "$lists/cache/archives/partial"
	: >"$lists/state/status"
	{
		echo "APT::Architecture \"$architecture\";"
		echo "APT::Architectures \"$architecture\";"
		echo "Dir::State \"$lists/state\";"
		echo "Dir::State::status \"$lists/state/status\";"
		echo "Dir::Cache \"$lists/cache\";"
	} >"$lists/apt.conf"
	APT_CONFIG=$lists/apt.conf
	export APT_CONFIG
	apt-get -q update
fi
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
(cd "$part" && apt-get -q download "$package")
dpkg -x "$part"/"$package"_*.deb "$part/unpacked"
mkdir -p "$part/lib"
mv "$part"/unpacked/boot/vmlinuz-* "$part"
mv "$part"/unpacked/lib/modules "$part/lib" 2>/dev/null ||
	mv "$part"/unpacked/usr/lib/modules "$part/lib"
rm -rf "$part/unpacked" "$part/apt" "$part"/*.deb
# The package leaves this to the machine that it is installed on.
for release in "$part"/lib/modules/*; do
	PATH=$PATH:/sbin:/usr/sbin depmod -b "$part" "${release##*/}"
done
mv "$part" "$target"
