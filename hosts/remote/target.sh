# SPDX-License-Identifier: GPL-2.0-only
# What lkltest does on a POSIX target, a verb a connection: dash, ash, bash, FreeBSD's sh, mksh.
#
# store/SHA256      programs, kept between runs
# runs/NAME/        one run: words, fifos, disk images; it goes with the run
#
# usage: sh target.sh FOLDER VERB ARGUMENT...
umask 077
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
cd "$1" || exit 1
there=$PWD
. ./network.sh
verb=$2
shift 2

sum_of() {
	{ sha256sum || shasum -a 256 || sha256 -q || openssl dgst -sha256 -r; } <"$1" 2>/dev/null |
		sed -n '1s/^\([0-9a-f]\{64\}\).*/\1/p'
}

# Everything that a run has started has its name in its environment, daemons too. One that forks while
# it is looked for is missed, so that two looks have to find nothing. Where there is no /proc the run's
# process group alone is ended, by its script.
end_processes() {
	found_nothing=0
	while [ $found_nothing -lt 2 ]; do
		found_nothing=$((found_nothing + 1))
		for file in $(grep -ls "LKLTEST_RUN=$1" /proc/[0-9]*/environ 2>/dev/null); do
			file=${file%/environ}
			kill -9 "${file#/proc/}" 2>/dev/null && found_nothing=0
		done
	done
}

end_run() {
	end_processes "$1"
	rm -rf "runs/$1"
}

end_session() {
	for run in runs/"$1"*; do
		[ ! -d "$run" ] || end_run "${run#runs/}"
	done
}

# What a target that was switched off, or a killed script, has left.
end_old_runs() {
	now=$(date +%s)
	for lease in runs/*/lease; do
		if [ -s "$lease" ] && [ "$(cat "$lease")" -lt "$now" ]; then
			run=${lease#runs/}
			end_run "${run%/lease}"
		fi
	done
}

case $verb in
new) # NAME SECONDS SHA256 FIFO...: a run's folder, to be gone in SECONDS; stdin: its words
	mkdir -p store runs
	end_old_runs
	mkdir "runs/$1" && echo $(($(date +%s) + $2)) >"runs/$1/lease" && cat >"runs/$1/words" || exit 1
	( # a wrapper has to be there
		. "./runs/$1/words"
		case $1 in
		*/store/*) ;;
		*) command -v "$1" >/dev/null || fail "$1 is missing there" ;;
		esac
	) || exit 1
	[ -x "store/$3" ] || echo wanted
	cd "runs/$1" && shift 3
	[ $# -eq 0 ] || mkfifo "$@"
	;;
put) # SHA256: a program, from stdin
	gzip -dc >"store/$1.$$" || { rm -f "store/$1.$$"; exit 1; }
	found=$(sum_of "store/$1.$$")
	[ -z "$found" ] || [ "$found" = "$1" ] || { rm -f "store/$1.$$"; echo "$1: arrived damaged" >&2; exit 1; }
	chmod 700 "store/$1.$$" && mv "store/$1.$$" "store/$1"
	;;
image) # NAME FILE BYTES: a disk image without its holes; stdin: a line of SEEK+COUNT in 64 KiB, the data
	cd "runs/$1" || exit 1
	read -r extents
	gzip -dc >"$2.data" && dd if=/dev/zero of="$2" bs=1 count=1 seek=$(($3 - 1)) 2>dd.log || exit 1
	at=0
	for extent in $extents; do
		dd if="$2.data" of="$2" bs=65536 skip=$at seek="${extent%+*}" count="${extent#*+}" conv=notrunc 2>dd.log ||
			{ cat dd.log >&2; exit 1; }
		at=$((at + ${extent#*+}))
	done
	rm "$2.data"
	;;
fetch) # NAME FILE: a disk image, to stdout; without its holes where tar(1) can
	cd "runs/$1" || exit 1
	if tar -cSf /dev/null words 2>/dev/null; then
		tar -cSf - "$2" | gzip -1
	else
		tar -cf - "$2" | gzip -1
	fi
	;;
run) # NAME MARK: on a terminal; ends with the run when that is told or lost, or its lease is over
	name=$1 mark=$2
	trap : HUP INT TERM
	seconds=$(($(cat "runs/$name/lease") - $(date +%s)))
	(
		cd "runs/$name" || exit 1
		TMPDIR=$PWD LKLTEST_RUN=$name
		export TMPDIR LKLTEST_RUN
		. ./words
		if command -v network >/dev/null; then
			own_namespaces /bin/sh "$there/target.sh" "$there" inside "$name" </dev/null 2>&1
		else
			sh -c 'echo $$ >pid; exec "$@"' sh "$@" </dev/null 2>&1
		fi
		status=$?
		[ $status -le 128 ] || status=$(kill -l $status 2>/dev/null || echo $status)
		[ -e stopped ] || printf '\036%s %s\n' "$mark" "$status"
	) 2>/dev/null &
	(sleep $seconds; end_run "$name"; kill -9 0) >/dev/null 2>&1 &
	read -r _
	trap '' HUP INT TERM # for grep and rm, too, which a hangup would end
	end_run "$name"
	kill -9 0 # the process group, this script with it
	;;
inside) # NAME: its program, in namespaces of its own
	cd "runs/$1" || exit 1
	. ./words
	network || exit 1
	echo $$ >pid
	exec "$@"
	;;
try) # a network, from stdin: the reason why it cannot be had
	[ "$(uname -s)" = Linux ] || fail "$(uname -s) has no network namespaces"
	command -v unshare >/dev/null || fail "unshare is missing there"
	said=$(own_namespaces true 2>&1) || fail "no namespaces there: $said"
	LKLTEST_RUN=try-$$
	export LKLTEST_RUN
	mkdir -p "runs/$LKLTEST_RUN" && cat >"runs/$LKLTEST_RUN/words" || exit 1
	own_namespaces /bin/sh "$there/target.sh" "$there" tried "$LKLTEST_RUN"
	unset LKLTEST_RUN
	end_run "try-$$"
	;;
tried)
	cd "runs/$1" || exit 1
	. ./words
	;;
look) # NAME: what the program is doing
	pid=$(cat "runs/$1/pid")
	if command -v gdb >/dev/null; then
		gdb -nx -batch -p "$pid" -ex 'thread apply all backtrace' </dev/null 2>/dev/null
	else
		for task in /proc/"$pid"/task/*; do
			echo "$(cat "$task/comm") (${task##*/}): $(sed -n 's/^State:[[:space:]]*//p' "$task/status"), in $(cat "$task/wchan")"
			cat "$task/stack"
		done 2>/dev/null
		ps -o pid,stat,wchan,args -p "$pid" 2>/dev/null
	fi
	;;
stop) # NAME: its processes; its end is not to be told as one of its own
	: >"runs/$1/stopped"
	end_processes "$1"
	;;
leave) # SESSION: its runs
	end_session "$1"
	;;
lost) # SESSION: its runs; what was just asked for may come after the end of the connection
	for pause in 0 2 10; do
		sleep $pause
		end_session "$1"
	done
	;;
end) # NAME: with its folder
	end_run "$1"
	;;
list) # the runs that are there, without those whose time is over
	end_old_runs
	for lease in runs/*/lease; do
		if [ -s "$lease" ]; then echo "${lease%/lease}"; fi
	done
	;;
esac
