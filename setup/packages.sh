#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# packages.sh WHAT=PACKAGE... - install the Debian packages whose WHAT is missing.
#
# WHAT is a command, or a file when it starts with a slash. Asking for the
# command rather than the package leaves alone what came another way.
set -u

missing=
for pair in "$@"; do
	what=${pair%%=*} package=${pair#*=}
	case $what in
	/*) [ -e "$what" ] ;;
	*) PATH=$PATH:/usr/sbin:/sbin command -v "$what" >/dev/null ;;
	esac || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=
if [ "$(id -u)" -ne 0 ]; then
	sudo=sudo
	command -v sudo >/dev/null || {
		echo "missing packages:$missing; as root: apt-get install$missing" >&2
		exit 1
	}
	sudo -v || exit 1
fi
command -v apt-get >/dev/null || {
	echo "missing packages (Debian's names):$missing; install them and try again" >&2
	exit 1
}
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive
"$here"/step.sh 'reading the package lists' build/log/apt-update.log \
	$sudo apt-get -q update || exit 1
# The names are meant to be split: one argument a package.
# shellcheck disable=SC2086
"$here"/step.sh "installing$missing" build/log/apt-install.log \
	$sudo env DEBIAN_FRONTEND=noninteractive \
	apt-get -q -y --no-install-recommends install $missing
