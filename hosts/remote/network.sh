# SPDX-License-Identifier: GPL-2.0-only
# Networks on a Linux target, in namespaces of a run's own: devices, and a peer that echoes what it gets.
# Sourced by target.sh. A `network` that a run's words hold is made of the functions below; what fails is
# told in a line on stdout.

# COMMAND...: in namespaces of its own; a user has a user namespace, too.
own_namespaces() {
	if [ "$(id -u)" -eq 0 ]; then
		unshare -n -m "$@"
	else
		unshare -U -r -n -m "$@"
	fi
}

fail() {
	echo "$*"
	exit 1
}

# COMMAND...: has to be there, and to succeed.
must() {
	command -v "$1" >/dev/null || fail "$1 is missing there"
	said=$("$@" 2>&1) || fail "$*: $(echo "$said" | tail -n 1)"
}

# DEVICE ADDRESS...
add_addresses() {
	device=$1
	shift
	for address in "$@"; do
		case $address in
		*:*) must ip address add "$address" dev "$device" nodad ;;
		*) must ip address add "$address" dev "$device" ;;
		esac
	done
	must ip link set "$device" up
}

make_tap() { # NAME ADDRESS...
	must ip tuntap add dev "$1" mode tap vnet_hdr
	add_addresses "$@"
}

# NAME NAME ADDRESS...: joined; the second has the addresses. What comes out of them is whole, as what a
# packet socket takes from them is finished by no card.
make_veth() {
	must ip link add "$1" type veth peer name "$2"
	for device in "$1" "$2"; do
		must ethtool -K "$device" tx off rx off sg off tso off gso off gro off
	done
	must ip link set "$1" up
	shift
	add_addresses "$@"
}

make_macvtap() { # NAME PARENT: its node is dev/NAME in the run's folder
	must ip link add link "$2" name "$1" type macvtap mode passthru
	must ip link set "$1" up
	must mount -t sysfs none /sys
	mkdir -p dev
	must mount -t tmpfs none dev
	numbers=$(cat /sys/class/net/"$1"/tap*/dev /sys/class/net/"$1"/macvtap/tap*/dev 2>/dev/null | head -n 1)
	mknod "dev/$1" c "${numbers%:*}" "${numbers#*:}" 2>/dev/null && (: <>"dev/$1") 2>/dev/null ||
		fail "only root there can make the device node of a macvtap"
}

start_echo() { # PORT: TCP, IPv4 and IPv6
	if command -v socat >/dev/null; then
		socat "TCP6-LISTEN:$1,fork,ipv6only=0" EXEC:cat >/dev/null 2>&1 &
	elif command -v python3 >/dev/null; then
		python3 "$there/echo.py" "$1" >/dev/null 2>&1 &
	elif busybox nc --help 2>&1 | grep -q -e '-ll'; then
		busybox nc -ll -p "$1" -e cat >/dev/null 2>&1 &
	else
		fail "none of socat, python3, busybox is there, for a peer that echoes"
	fi
}
